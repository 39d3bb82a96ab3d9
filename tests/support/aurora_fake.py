"""Global databases of Aurora, as far as a failover asks for them: moto describes them and cannot move their writer."""

from typing import Final
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests.support.http_fake import Answer, HttpFake, Seen

_XML: Final = {"Content-Type": "text/xml"}


class AuroraFake:
    """One global cluster. `writer` is the ARN that writes; a move stays under way until `settle`."""

    def __init__(self, identifier: str, *members: str) -> None:
        self.identifier = identifier
        self.members = members
        self.writer = members[0]
        self.moves: list[dict[str, str]] = []
        self._wanted = ""
        self.server = HttpFake(self._respond)

    def settle(self) -> None:
        """AWS has moved the writer."""
        self.writer, self._wanted = self._wanted, ""

    def _respond(self, seen: Seen) -> Answer:
        asked = {key: values[-1] for key, values in parse_qs(seen.body.decode()).items()}
        operation = asked.pop("Action")
        if asked.get("GlobalClusterIdentifier") != self.identifier:
            return _error("GlobalClusterNotFoundFault", "there is none")
        if operation == "DescribeGlobalClusters":
            return _answer(operation, f"<GlobalClusters>{self._cluster('GlobalClusterMember')}</GlobalClusters>")
        if self._wanted:
            return _error("InvalidGlobalClusterStateFault", "it is being moved")
        self.moves.append({"operation": operation, **asked})
        self._wanted = asked["TargetDbClusterIdentifier"]
        return _answer(operation, self._cluster("GlobalCluster"))

    def _cluster(self, tag: str) -> str:
        members = "".join(
            f"<GlobalClusterMember><DBClusterArn>{escape(arn)}</DBClusterArn>"
            f"<IsWriter>{str(arn == self.writer).lower()}</IsWriter></GlobalClusterMember>"
            for arn in self.members
        )
        moving = "<FailoverState><Status>switching-over</Status></FailoverState>" if self._wanted else ""
        inner = (
            f"<GlobalClusterIdentifier>{self.identifier}</GlobalClusterIdentifier><Status>available</Status>"
            f"<GlobalClusterMembers>{members}</GlobalClusterMembers>{moving}"
        )
        return f"<{tag}>{inner}</{tag}>"


def _answer(operation: str, result: str) -> Answer:
    body = f"<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>"
    return Answer(body, headers=_XML)


def _error(code: str, message: str) -> Answer:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return Answer(body, 400, _XML)
