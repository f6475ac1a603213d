"""Elspeth from Python: the functions that `elspeth` itself offers, and what they answer.

    elspeth.run("pipeline.yaml")              runs a pipeline, and answers the run when it is complete
    elspeth.resume("latest")                  continues one that was interrupted or died
    elspeth.open().run("latest")              a run on record: rows, outcomes, stories, a report

Whatever goes wrong is raised as an `elspeth.ElspethError`, with the exit code that the command would end in.
"""
