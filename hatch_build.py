"""What a build makes beside the code: the man page, from the help of the commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPage(BuildHookInterface[Any]):
    """Put share/man/man1/zanith.1 into the wheel, where what the command imports is installed."""

    PLUGIN_NAME = "custom"

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Write the page, and name it to the build; an isolated build has none."""
        sys.path.insert(0, self.root)
        try:
            from scripts.man_page import write
        except ImportError:
            return
        finally:
            sys.path.remove(self.root)
        file = Path(self.root, "build", "zanith.1")
        write(file)
        build_data["shared_data"][str(file)] = "share/man/man1/zanith.1"
