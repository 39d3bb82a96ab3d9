"""What holds for every test: logs of services in this process go beside the outputs that tests read."""

import sys

import structlog

# Without this a log line finds standard output when it is written, which may then be lent to a command line under test.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.__stderr__))
