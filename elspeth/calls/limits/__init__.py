"""When a call may be sent: rates, pauses, breaker and budget, as functions of values that are told the time.

Seconds (`now`) are those of any clock that does not go backwards; all calls about one state use the same one.
"""
