"""Each rule of another linter about locks, data or failure is flagged, and the table says how."""

from __future__ import annotations

from tests.migrate.peers import DOCUMENT, RULES, document, is_flagged, judged


def test_the_plan_flags_each_rule_that_has_a_statement():
    missed = [
        rule for rule in RULES if (found := judged(rule)) is not None and not is_flagged(found)
    ]
    assert missed == []
    assert all(bool(rule.sql) != bool(rule.why) for rule in RULES)
    assert len({(rule.peer, rule.name) for rule in RULES}) == len(RULES)


def test_the_table_is_made_from_the_rules():
    text = DOCUMENT.read_text("utf-8")
    assert document(text) == text, "run: python -m tests.migrate.peers --document"
