"""Requests of the replication service with every field filled, as `whole_requests` has them of the others."""

from google.protobuf.message import Message

from trimtab.v1 import replication_service_pb2 as pb


def whole_replication_requests(project: str, uuid: str) -> dict[str, list[Message]]:
    """By full method name. The replication is the one of a deployment without a file."""
    name = f"projects/{project}/replications/models"
    service = "/trimtab.v1.ReplicationService/"
    listing = pb.ListReplicationsRequest(
        parent=f"projects/{project}", page_size=10, filter='source = "simulated://simulated/models-aws"'
    )
    return {
        service + "ListReplications": [listing],
        service + "GetReplication": [pb.GetReplicationRequest(name=name)],
        service + "StartReplication": [pb.StartReplicationRequest(name=name, request_id=uuid)],
        service + "PauseReplication": [pb.PauseReplicationRequest(name=name, request_id=uuid)],
        service + "ReverseReplication": [
            pb.ReverseReplicationRequest(name=name, override_reason="the drill", request_id=uuid)
        ],
        service + "CompareReplication": [pb.CompareReplicationRequest(name=name, page_size=10)],
    }
