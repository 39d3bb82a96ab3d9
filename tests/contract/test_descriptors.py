"""The contract follows the AIPs, rule by rule, and the rules themselves find what they are there for."""

from pathlib import Path

import pytest
from grpc_tools import protoc

from hatch_build import google_protos
from tests.contract.aip_rules import RULES, Contract, Rule

ROOT = Path(__file__).resolve().parents[2]

# Breaks every rule of aip_rules at least once.
BAD = """
syntax = "proto3";
package trimtab.v1;
import "google/api/resource.proto";
service Wrong {
  rpc ListThings(ListThingsRequest) returns (stream ListThingsResponse);
  rpc GetThing(GetThingRequest) returns (Thing);
  rpc GetOther(GetOtherRequest) returns (Other);
  rpc CreateOther(CreateOtherRequest) returns (Other);
  rpc UpdateThing(UpdateThingRequest) returns (Thing);
  rpc DeleteThing(DeleteThingRequest) returns (Thing);
  rpc SearchForThing(Thing) returns (Thing);
}
message Thing {
  option (google.api.resource) = {type: "example.com/Thing" pattern: "stuff/{thing}"};
  double price = 1;
  string from = 2;
  Kind kind = 3;
}
message Other { string name = 1; }
enum Kind { KIND_FIRST = 0; }
message ListThingsRequest { int64 page_size = 1; }
message ListThingsResponse { repeated Thing things = 1; }
message GetThingRequest { string name = 1; }
message GetOtherRequest { string name = 1; }
message CreateOtherRequest { Other other = 1; }
message UpdateThingRequest { Thing thing = 1; }
message DeleteThingRequest { string name = 1; }
"""


def compiled(root: Path, out: Path, *sources: str) -> Contract:
    """Our own files under `root` with their comments, as protoc understands them."""
    standard = Path(protoc.__file__).parent / "_proto"
    status = protoc.main(
        [
            "protoc",
            *(f"--proto_path={path}" for path in (root, standard, google_protos())),
            "--include_source_info",
            f"--descriptor_set_out={out}",
            *sources,
        ]
    )
    assert status == 0
    return Contract.parse(out.read_bytes())


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The contract as it is committed."""
    protos = ROOT / "protos"
    sources = [str(path.relative_to(protos)) for path in sorted(protos.glob("trimtab/**/*.proto"))]
    return compiled(protos, tmp_path_factory.mktemp("contract") / "set.binpb", *sources)


@pytest.fixture(scope="module")
def bad_contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """A contract that breaks every rule; it even lies in the wrong folder."""
    root = tmp_path_factory.mktemp("bad")
    (root / "thing_service.proto").write_text(BAD, encoding="utf-8")
    return compiled(root, root / "set.binpb", "thing_service.proto")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_contract_keeps_the_rule(rule: Rule, contract: Contract) -> None:
    """No element of the committed contract offends."""
    assert rule(contract) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_an_offender(rule: Rule, bad_contract: Contract) -> None:
    """A rule that finds nothing in a contract that breaks it would guard nothing."""
    assert rule(bad_contract) != []


def test_the_contract_has_services(contract: Contract) -> None:
    """The rules were asked about something."""
    assert {service.name for file in contract.files for service in file.service} >= {
        "CatalogService",
        "CommitmentService",
        "PlacementService",
        "PolicyService",
    }
