from elspeth.api.database import AuditDatabase as AuditDatabase
from elspeth.api.database import open as open
from elspeth.api.driving import Finished as Finished
from elspeth.api.driving import resume as resume
from elspeth.api.driving import run as run
from elspeth.api.recorded import RecordedRun as RecordedRun
from elspeth.errors import ElspethError as ElspethError
from elspeth.testing.in_process import run_in_process as run_in_process

__version__: str
