"""Create all tables of the metadata, or drop them all: an argument says which."""

import os
import sys

from models import Base
from sqlalchemy import create_engine

engine = create_engine(os.environ["ADOPTION_URL"])
{"create": Base.metadata.create_all, "drop": Base.metadata.drop_all}[sys.argv[1]](engine)
