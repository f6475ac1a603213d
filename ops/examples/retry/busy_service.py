"""A transform that asks a service which is often busy; here it is a table, and the row says how busy it is."""

from __future__ import annotations

from elspeth.plugins.contract import Context, Row, RowError, Transform, TransientError

POSTCODES = {"Bern": "3000", "Lima": "15001", "Oslo": "0010", "Rome": "00118", "Kyiv": "01001"}


class BusyService(Transform):
    """Adds the postcode of a city.

    `TransientError` says that another try may help: the settings' `retry` decides when and how often. Any other error
    is the row's answer at once. A real service would be handed `ctx.idempotency_key`, which is the same in every try.
    """

    name = "busy_service"

    def process(self, row: Row, ctx: Context) -> Row:
        """The row with its postcode, at the try that its id allows: the 1st, the 2nd, the 3rd or the 4th."""
        if row["city"] not in POSTCODES:
            raise RowError(f"there is no city called {row['city']}", city=row["city"])
        wanted = 1 + row["id"] % 4
        if ctx.attempt < wanted:
            raise TransientError(f"the service is busy at try {ctx.attempt}", status=503)
        return {**row, "postcode": POSTCODES[row["city"]], "tries": ctx.attempt}

    def fields_in(self) -> frozenset[str]:
        """What the service is asked with."""
        return frozenset({"id", "city"})

    def fields_out(self, fields: frozenset[str]) -> frozenset[str]:
        """What rows had, and the answer."""
        return fields | {"postcode", "tries"}
