"""Every constant reason that trimtab gives, and what it means.

A refusal, elimination, finding or error carries one of these constants; text is made from it at
the edge. `docs/errors.md` is generated from this module, so a member without a description cannot
be added: the description is the second element of its value tuple.
"""

from enum import Enum


class Reason(Enum):
    """A constant with its one-sentence meaning. `name` is what goes over the wire."""

    def __init__(self, meaning: str) -> None:
        self.meaning = meaning

    def __str__(self) -> str:
        return self.name


class ErrorReason(Reason):
    """`google.rpc.ErrorInfo.reason` of a failed call."""

    INVALID_REQUEST = "One or more fields are at fault; BadRequest names each."
    FIELD_REQUIRED = "A required field is missing."
    OUT_OF_RANGE = "A number is outside the range the field documents."
    UNKNOWN_VALUE = "A name is not in the vocabulary; the nearest known names are suggested."
    CONTRADICTION = "Two fields of the request exclude each other."
    TOO_LARGE = "A message, list or string is over its documented cap."
    BAD_FORMAT = "A value does not have the documented syntax."
    PAGE_TOKEN_INVALID = "The page token was not issued for this list, filter and order."  # noqa: S105 - not a secret
    FILTER_INVALID = "The filter is not in the documented subset of AIP-160, or names an unknown field."
    REQUEST_ID_REUSED = "The request_id was used before with a different request body."
    POLICY_INVALID = "A policy condition does not compile or a rule is malformed; the position is given."
    POLICY_VIOLATED = "The effective policy forbids what was asked; the rule and its source are named."
    NOT_FOUND = "The named resource does not exist, or the caller may not see it."
    ALREADY_EXISTS = "A resource of that name exists."
    ETAG_MISMATCH = "The resource was changed since it was read; read it again."
    STATE_CONFLICT = "The resource is not in a state that allows the call."
    ROOM_CONFLICT = "Commitment room or quota was drawn by another caller meanwhile; ask again."
    UNAUTHENTICATED = "No credential, or one that is malformed, expired or not trusted."
    PERMISSION_DENIED = "The caller has no role that allows this method on this project."
    RATE_LIMITED = "The principal's budget for this method is spent; RetryInfo says when to ask again."
    STREAM_BUDGET_SPENT = "All places for concurrent streams are taken."
    DEADLINE_EXCEEDED = "The deadline passed before the answer was ready."
    CATALOG_UNAVAILABLE = "No catalogue is loaded."
    CATALOG_REFUSED = "The new catalogue lost more rows than allowed; the last good one stays in force."
    REPLAY_UNAVAILABLE = "A revision that the decision was made with is no longer kept."
    STORE_UNAVAILABLE = "The database does not answer."
    STORE_BUSY = "Too many changes wait to be committed; RetryInfo says when to ask again."
    SOURCE_FAILED = "A source outside trimtab failed; nothing can be concluded."
    UNSUPPORTED = "trimtab does not know how to decide this."
    SHUTTING_DOWN = "The server is draining; another replica will answer."
    INTERNAL = "A fault of trimtab; the correlation id finds it in the log."


class RejectionReason(Reason):
    """Why an offer or a region was not chosen."""

    RESIDENCY = "The region lies outside the countries or blocs that the data may live in."
    CLOUD_NOT_ALLOWED = "The cloud is denied, or not in the allow list."
    REGION_NOT_ALLOWED = "The region is denied, or not in the allow list."
    FAMILY_NOT_ALLOWED = "The instance family is denied, or not in the allow list."
    TYPE_NOT_ALLOWED = "The instance type is denied, or not in the allow list."
    PARTITION_NOT_ALLOWED = "The region belongs to a partition (government, China) that was not asked for."
    PURCHASE_OPTION_NOT_ALLOWED = "The purchase option is not allowed."
    POLICY = "A policy rule excludes it."
    SERVICE_MISSING = "A cloud service that the workload needs is not offered there."
    LATENCY = "The users would wait longer than the limit."
    TOO_SMALL = "Too few vCPUs or too little memory."
    GPU_MISMATCH = "Another GPU model, too few GPUs or too little GPU memory."
    ARCH_MISMATCH = "Another CPU architecture."
    DISK_TOO_SMALL = "Too little local disk."
    NETWORK_TOO_SLOW = "Too little network bandwidth."
    NOT_OFFERED = "No price is known for it in the region."
    NOT_ENOUGH_ZONES = "Fewer fault domains than the spread asks for."
    BLOCKED_BY_REQUEST = "The request blocks the offer."
    BLOCKED_BY_OUTCOME = "A reported capacity failure blocks the offer until it decays."
    QUOTA = "The quota left is too small."
    PRICE_STALE = "The price is older than the policy accepts."
    PRICE_BASIS = "The price's basis is not accepted by the policy."
    INTERRUPTION_RISK = "The expected interruptions are above the limit."
    COST_LIMIT = "The expected cost is above the limit."
    DEADLINE = "The expected finish is after the deadline."
    NEVER_FINISHES = "Interruptions come faster than the work can progress."
    NOT_WORTH_MOVING = "The gain over the current place is under the minimum."
    COSTLIER = "Feasible, but another offer costs less or carries less risk."


class CatalogIssue(Reason):
    """Why a catalogue row was quarantined, or what was odd about a file."""

    BAD_NUMBER = "A number is missing, NaN, infinite or does not parse."
    NEGATIVE_PRICE = "The price is negative or zero."
    PRICE_UNIT = "The price is implausible for an hour: the unit is probably wrong."
    UNKNOWN_CLOUD = "The cloud is not aws, gcp or azure."
    UNKNOWN_REGION = "The region is not in the regions file."
    UNKNOWN_INSTANCE_TYPE = "The instance type is not in the instance types file."
    UNKNOWN_PURCHASE_OPTION = "The purchase option is not known."
    UNKNOWN_BASIS = "The basis is not known."
    DUPLICATE_KEY = "A row with the same key was read before."
    BAD_DATE = "The date does not parse or lies in the future."
    BAD_SPEC = "A size is negative, zero where it must not be, or absurd."
    UNKNOWN_COLUMN = "The column is not used and was ignored."
    UNREADABLE_FILE = "The file is missing, cut off or not in its format."
