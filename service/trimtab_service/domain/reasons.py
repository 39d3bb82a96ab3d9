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
    REPLICA_STALE = "The copy is older than its target, or its age is not known; an override needs a reason."
    ROOM_CONFLICT = "Commitment room or quota was drawn by another caller meanwhile; ask again."
    UNAUTHENTICATED = "No credential, or one that is malformed, expired or not trusted."
    PERMISSION_DENIED = "The caller has no role that allows this method on this project."
    NOT_THE_REPORTER = "The plan names another credential as the one that reports for this observer."
    RATE_LIMITED = "The principal's budget for this method is spent; RetryInfo says when to ask again."
    STREAM_BUDGET_SPENT = "All places for concurrent streams are taken."
    DEADLINE_EXCEEDED = "The deadline passed before the answer was ready."
    CATALOG_UNAVAILABLE = "No catalogue is loaded."
    CATALOG_REFUSED = "The new catalogue lost more rows than allowed; the last good one stays in force."
    REPLAY_UNAVAILABLE = "A revision that the decision was made with is no longer kept."
    STORE_UNAVAILABLE = "The database does not answer."
    STORE_BUSY = "Too many changes wait to be committed; RetryInfo says when to ask again."
    READ_COST_CAP = "Reading the telemetry would cost more than the cap."
    SOURCE_FAILED = "A source outside trimtab failed; nothing can be concluded."
    NO_USAGE = "Nothing runs in the named accounts that is paid by the hour at a known price: nothing to do."
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


class AdviceReason(Reason):
    """What a sizing advice rests on. The first twenty are those of AWS Compute Optimizer."""

    CPU_OVER_PROVISIONED = "The CPU is larger than the load needs."
    CPU_UNDER_PROVISIONED = "The CPU is smaller than the load needs."
    MEMORY_OVER_PROVISIONED = "There is more memory than the workload needs."
    MEMORY_UNDER_PROVISIONED = "There is less memory than the workload needs."
    EBS_THROUGHPUT_OVER_PROVISIONED = "Volume throughput is larger than the load needs."
    EBS_THROUGHPUT_UNDER_PROVISIONED = "Volume throughput is smaller than the load needs."
    EBS_IOPS_OVER_PROVISIONED = "Volume operations are more than the load needs."
    EBS_IOPS_UNDER_PROVISIONED = "Volume operations are fewer than the load needs."
    NETWORK_BANDWIDTH_OVER_PROVISIONED = "Network bandwidth is larger than the load needs."
    NETWORK_BANDWIDTH_UNDER_PROVISIONED = "Network bandwidth is smaller than the load needs."
    NETWORK_PPS_OVER_PROVISIONED = "Packets per second are more than the load needs."
    NETWORK_PPS_UNDER_PROVISIONED = "Packets per second are fewer than the load needs."
    DISK_IOPS_OVER_PROVISIONED = "Local disk operations are more than the load needs."
    DISK_IOPS_UNDER_PROVISIONED = "Local disk operations are fewer than the load needs."
    DISK_THROUGHPUT_OVER_PROVISIONED = "Local disk throughput is larger than the load needs."
    DISK_THROUGHPUT_UNDER_PROVISIONED = "Local disk throughput is smaller than the load needs."
    GPU_OVER_PROVISIONED = "There is more GPU compute than the load needs."
    GPU_UNDER_PROVISIONED = "There is less GPU compute than the load needs."
    GPU_MEMORY_OVER_PROVISIONED = "There is more GPU memory than the workload needs."
    GPU_MEMORY_UNDER_PROVISIONED = "There is less GPU memory than the workload needs."
    GPU_COUNT_OVER_PROVISIONED = "There are more GPUs than the load needs."
    GPU_IDLE = "The GPUs do nothing."
    IDLE = "Nothing uses the resource."
    OFF_HOURS = "The resource is used only in certain hours of the week."
    CHEAPER_FAMILY = "Another family serves the same load for less."
    CHEAPER_ARCHITECTURE = "Arm serves the same load for less."
    CHEAPER_GPU = "Another GPU model serves the same load for less."
    GPU_SHARE_SERVES = "A slice or a share of a GPU serves the load."
    GROUP_TOO_LARGE = "The group holds more instances than its load needs at its scaling target."
    GROUP_TOO_SMALL = "The group's load needs more instances at its scaling target."
    MEMORY_KILLS = "The workload was killed for want of memory; the floor is raised."
    CPU_THROTTLED = "The workload was throttled; the floor is raised."
    MEMORY_NOT_MEASURED = "No series tells the memory in use; the present memory is kept as the floor."
    GPU_MEMORY_NOT_MEASURED = "No series tells the GPU memory in use; the present GPU memory is kept as the floor."
    CPU_NOT_MEASURED = "No series tells the CPU in use; the present vCPUs are kept as the floor."
    GPU_NOT_MEASURED = "No series tells the use of the GPUs; their number and model are kept."
    GPU_SPEED_ESTIMATED = "How much faster or slower another GPU model is, is an estimate from its data sheet."
    SIZE_OF_MACHINE_BENEATH = "The size of a managed service's type is taken from the machine beneath it."
    SHARE_NEEDS_OTHERS = "A slice costs its part only if others use the rest of the GPU; alone, the whole is paid."
    LESS_THAN_A_WEEK = "The series cover less than a full week, so weekly peaks may be missing."
    PEAKS_ABOVE_SIZE = (
        "For moments within intervals the load rose above the size, which means of intervals do not show."
    )
    PEAKS_NOT_SEEN = "The series are means of their intervals; peaks within an interval are not seen."
    SAVING_UNDER_FLOOR = "The saving is under the money floor."
    NOT_WORTH_THE_DISRUPTION = "The saving is small against the disruption of the change."
    OWNED_COMMITMENT_LOSES_USE = "An owned commitment that pays for the present size would go unused."
    LEVEL_FROM_THROTTLED_HOUR_COST = "The level was chosen from what an hour of want costs."
    SHRINK_FORBIDDEN = "A preference forbids less than now."
    RISK_LIMIT = "The risk is above the limit."
    NO_PRICE = "No price is known for it here."
    FAMILY_NOT_ALLOWED = "A preference or policy does not allow the family."
    ARCHITECTURE_NOT_ALLOWED = "Another architecture was not asked for."
    GPU_MODEL_NOT_ALLOWED = "Another GPU model was not asked for."
    BURSTABLE_NOT_ALLOWED = "Burstable types were not asked for."
    COSTLIER = "It costs more than an option that carries no more risk."
    TOO_SMALL = "It has less than the workload needs."
    POLICY = "A policy excludes it."
    REALIZED_LESS = "It saves less than it promised."
    EXCEEDS_MORE = "The new size is exceeded more often than was promised."
    NOT_MEASURED_YET = "Too little has been measured since it was applied."


class SeriesNote(Reason):
    """What a measured series held that had to be dealt with before it could be used."""

    DUPLICATE_POINTS = "Several points had one stamp; their maximum was used."
    OUT_OF_ORDER = "Points were not in order; they were sorted."
    FUTURE_POINTS = "Points stamped in the future were dropped."
    NOT_FINITE = "Points that are NaN or infinite were taken as gaps."
    NEGATIVE = "Negative points were dropped."
    ABSURD = "Points far above what the resource can do were dropped."
    CLIPPED = "Points slightly above the whole were taken as the whole."
    MIXED_RESOLUTION = "The points had several resolutions; they were put on one grid."
    DOWNSAMPLED = "There were more points than are useful; each interval kept its maximum."
    GAPS = "Intervals without a value were left out."
    COUNTER_RESET = "A counter fell back; the interval of the reset counts from zero."
    LOOKS_LIKE_A_COUNTER = "A series declared as a gauge only ever rises: it was read as a counter."
    CONSTANT = "Every value is the same."
    EMPTY = "The series has no usable value."
    OUTSIDE_LOOKBACK = "Points before the look-back window were left out."
    UNKNOWN_CAPACITY = "A share of the whole cannot be counted, because the whole is not known."
    SOURCE_INCOMPLETE = "The source gave only a part of what was asked for."
    CLOCK_SKEW = "The source's clock differs from the service's; stamps were kept as they are."


class ObstacleReason(Reason):
    """Why a recommendation may not be carried out now."""

    NOT_CLAIMED = "It must be claimed by the caller first."
    APPROVAL_REQUIRED = "A policy asks for an approval by somebody else."
    APPROVAL_EXPIRED = "The approval is no longer good."
    RESOURCE_CHANGED = "The resource is not as it was when this was advised."
    RESOURCE_GONE = "The resource does not exist any more."
    RESOURCE_PROTECTED = "The resource is protected against changes."
    OUTSIDE_WINDOW = "Changes are allowed in certain hours only."
    NO_ACTUATOR = "No connection to the resource's cloud is configured."
    NOTHING_TO_DO = "It has no operations that trimtab can carry out."
    NOT_APPLIED = "It was not carried out by trimtab, so there is nothing to undo."
    BUSY = "Another change of the same resource is under way."


class DroppedReason(Reason):
    """Why an offer was not considered further."""

    DEARER_THAN_ON_DEMAND = "Its rate, with the cost of paying ahead, is not under the on-demand price."
    DOMINATED = "Another offer of at least its scope and the same term cover costs no more anywhere."
    TERM_NOT_ALLOWED = "The limits do not allow its term."
    PAYMENT_NOT_ALLOWED = "The limits do not allow its payment option."
    NO_USAGE = "No usage is in its scope."


class DemandNote(Reason):
    """What was assumed about usage that was not clean."""

    MISSING_HOURS_ZERO = "Hours without a row were read as no usage."
    DUPLICATE_HOURS_SUMMED = "An hour came twice at a change of clocks; in UTC they are one hour of both."
    SHORT_HISTORY = "Under 30 days of usage: the plan holds for these hours, not for a season."
    EMPTY = "There is no usage: nothing to do."
    FROM_INVENTORY = "Usage is what ran when it was listed, each from its launch on; what ended before is not in it."
    ASSUMED_ALWAYS_RUN = "As asked for, each listed instance was counted over the whole look-back."
    LAUNCH_UNKNOWN = "Listed instances whose launch is not known were counted over the whole look-back."
    SPOT_LEFT_OUT = "Listed spot instances were left out: no plan covers them."
    UNPRICED_LEFT_OUT = "Listed instances of types without an on-demand price in the catalogue were left out."


class PlanReason(Reason):
    """What an evaluation finds about a failover plan."""

    TOO_MANY_STEPS = "The plan has more steps than 500."
    DUPLICATE_STEP = "Two steps of the plan have one id."
    UNKNOWN_TARGET = "No target of that name is configured for the project."
    TARGET_NOT_READABLE = "The target could not be read: it does not answer."
    CONTROL_PLANE_OF_LEFT_CLOUD = "The step calls the control plane of the cloud that is left, which may not answer."
    STATE_STORE_IN_LEFT_CLOUD = "The state of the service is kept in the cloud that is left."
    SECRETS_IN_LEFT_CLOUD = "Secrets are kept in the cloud that is left."
    IMAGES_IN_LEFT_CLOUD = "Images come from the cloud that is left."
    IDENTITY_IN_LEFT_CLOUD = "Identities are proved by the cloud that is left."
    DNS_IN_LEFT_CLOUD = "The control plane of the DNS stands in the cloud that is left."
    PERMISSION_MISSING = "The service's credential may not read the target, so it may not change it either."
    CAPACITY_NOT_RESERVED = "The capacity asked for is not reserved: it may not be there when all ask for it."
    QUOTA_BELOW_TARGET = "The quota is below the capacity asked for."
    QUOTA_UNKNOWN = "The quota of the target is not known."
    TTL_TOO_LONG = "The record's TTL is above a quarter of the recovery time."
    CIDR_OVERLAP = "The networks of two sides overlap, so they cannot be joined."
    REPLICA_STALE = "The replica is older than the data age that the plan accepts; a promotion would be refused."
    NO_WATERMARK = "No canary was ever read at the replica: its age is not known."
    NO_AGE_LIMIT = "Neither the step nor the plan says how old the replica may be, so the check lets any age pass."
    PROMOTION_UNGUARDED = "A data store is promoted and no step before it checks the age of the replica."
    SLOWER_THAN_RTO = "The steps are expected to take longer than the recovery time asked for."
    GIVEN_UP_EARLY = "The step is expected to take longer than its timeout: the run would pause in its middle."
    NO_RTO_TARGET = "The plan names no recovery time, so none is held against it."
    PLAN_CYCLE = "A plan runs itself, by way of a child."
    CHILD_TOO_DEEP = "A child plan has child plans: one level is all there is."
    UNKNOWN_CHILD = "The child plan does not exist in the project."
    CHILD_REFUSED = "A run of the child plan would be refused, and this one would stop in its middle."
    NO_TRAFFIC_SWITCH = "The activation moves no traffic."
    WEAK_FENCE = "The target cannot compare the token in the change itself: a stale controller could win a race."
    NO_HEALTH_CHECK = "Traffic is moved and no step before it proves that the side is well."
    AUTOMATIC_NEEDS_OBSERVERS = "Starting by itself asks for at least 3 observers in 2 clouds."
    ONE_CREDENTIAL_DECIDES = "One credential can report for a quorum of observers, and so start a run by itself."
    QUORUM_OUT_OF_REACH = "The quorum is above the number of observers."


class HealthReason(Reason):
    """Why a service is judged as it is, by its observers."""

    ACTIVE_SIDE_WELL = "A quorum sees the active side well."
    ACTIVE_SIDE_DOWN = "A quorum sees the active side down."
    TOO_FEW_OBSERVERS = "Fewer observers reported in time than a quorum takes."
    ACTIVE_SIDE_UNKNOWN = "No run has told where traffic is, and no name that the plan switches does."
    OBSERVERS_DISAGREE = "No quorum sees the active side down, and none sees it well."
    NO_SIDE_PROVEN_WELL = "The active side is down, and no other one is seen well by a quorum."
    EVERY_SIDE_DOWN = "A quorum sees every side down: moving helps nobody."
    OBSERVER_ISOLATED = "An observer sees every side down while others see one well; it is not believed."
    FLAPPING = "A side goes down and comes back again and again; nothing is moved until it settles."
    ONE_CLOUD_ONLY = "All who see the active side down stand in one cloud: it may be their own way out that failed."


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


class RunRefusal(Reason):
    """Why a failover run may not start, or why what a person decided about it is refused."""

    SWITCHED_OFF = "The plan is switched off: no run starts."
    PLAN_NOT_READY = "The latest evaluation has errors, and no reason was given to start all the same."
    RUN_UNDER_WAY = "Another run of the same service is under way and does not give way to this one."
    COOLDOWN = "Too little time has passed since the last run for one that starts by itself."
    FROZEN = "In a freeze window only people start runs."
    OUTSIDE_DRILL_WINDOW = "Drills are not allowed now."
    TOO_MANY_RUNS = "As many runs as the deployment allows are under way."
    FAILBACK_NOT_AUTOMATIC = "The way back to the side that was left is decided by a person."
    TOO_FEW_HEALTHY_SIDES = "Fewer healthy sides would be left than the plan asks for."
    UNKNOWN_SIDE = "The plan has no such side, or both sides are one."
    NOTHING_TO_RUN = "The plan has no steps for this."
    CHILD_TOO_DEEP = "A child plan has a child plan itself, or moves the same service."
    RUN_OVER = "The run is over."
    WRONG_STATE = "The run or its step is not in a state for this."
    APPROVAL_NOT_SKIPPED = "A step that waits for an approval is approved or rejected, never skipped."
    OTHER_PLAN = "What was approved is not the plan that runs."
    OWN_REQUEST = "Who started the run may not approve it."
    APPROVAL_EXPIRED = "The time for an approval is over."


class RunEventKind(Reason):
    """What happened in a failover run: a link of its chain."""

    RUN_STARTED = "The run was taken in, durably."
    RUN_CLAIMED = "A process took the run, with a new fencing token."
    RUN_PAUSED = "No further step begins."
    RUN_RESUMED = "It goes on."
    MODE_SWITCHED = "It goes on in another mode."
    RUN_ABORTING = "It goes back to its safe state."
    RUN_INTERRUPTED = "A drill gave way to a real event."
    RUN_ENDED = "Nothing more happens to it."
    STEP_BEGUN = "The step may now take effect."
    STEP_NOTED = "The step recorded what it must know to be repeated or undone."
    STEP_DONE = "The step has taken effect."
    STEP_FAILED = "The step did not do what it was for; the run pauses."
    STEP_SKIPPED = "The step was left out."
    STEP_RETRIED = "The step will be begun again."
    APPROVAL_ASKED = "The step waits for a person."
    STEP_APPROVED = "A person approved."
    STEP_REJECTED = "A person rejected; the run pauses."
    APPROVAL_EXPIRED = "Nobody decided in time; the run pauses."
    UNDO_BEGUN = "What the step did may now be undone."
    STEP_COMPENSATED = "What the step did was undone, or is harmless and was left."
