"""The kit for plugin authors: checks a plugin against its contract, in one call from the author's own test.

    from elspeth.testing import check_transform

    def test_my_transform_keeps_the_contract():
        check_transform(MyTransform(MyTransform.Options(field="name")), rows=[{"name": "Ada"}, {"name": ""}])

Each function is given a plugin object and raises `AssertionError` with the claim that does not hold and what was
found instead. They make further objects of the same class and options, as Elspeth does after a crash.

`run_in_process(Path("pipeline.yaml"))` runs a whole pipeline in the process it is called in, for a debugger.
"""

from elspeth.testing.in_process import Finished, run_in_process
from elspeth.testing.sinks import check_sink
from elspeth.testing.sources import check_source
from elspeth.testing.transforms import check_aggregation, check_transform

__all__ = ["Finished", "check_aggregation", "check_sink", "check_source", "check_transform", "run_in_process"]
