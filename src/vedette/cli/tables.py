"""Tables for people: no frame, nothing cut off."""

from __future__ import annotations

from rich.table import Column, Table


def plain_table(*headers: str) -> Table:
    """A table without lines whose cells wrap instead of losing their end; without headers where there are none."""
    return Table(*(Column(name, overflow="fold") for name in headers), box=None, pad_edge=False)


def key_value_table(columns: int = 2) -> Table:
    """The same without a head."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for _ in range(columns):
        table.add_column(overflow="fold")
    return table
