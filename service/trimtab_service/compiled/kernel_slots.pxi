# The fields of what is asked, read where the interpreter keeps them: a tenth of a look-up by name, and a request has
# fifty. Only of exactly these classes; any other makes a request one that the kernel does not know.

cdef extern from *:
    """
    #include "structmember.h"
    /* Where a slot of a class lies in its instances; -1 for what is no slot. */
    static Py_ssize_t slot_offset(PyObject *descriptor) {
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) return -1;
        struct PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
        return member->type == T_OBJECT_EX ? member->offset : -1;
    }
    """
    Py_ssize_t slot_offset(object)


cdef Py_ssize_t _at(kind, str name) except -1:
    cdef Py_ssize_t offset = slot_offset(kind.__dict__[name])
    if offset < 0:
        raise ImportError(f"{kind.__name__}.{name} is no slot")
    return offset


cdef inline object slot(object held, Py_ssize_t offset):
    return <object>(<PyObject**>(<char*><PyObject*>held + offset))[0]


cdef inline bint is_set(object held, Py_ssize_t offset):
    """Whether a field is not None."""
    return (<PyObject**>(<char*><PyObject*>held + offset))[0] != <PyObject*>None


_FIELDS = (
    (PlaceQuery, "project workload max_fallbacks reserve reserve_seconds request_id explain"),
    (Workload, "size hours is_service workload_id tags count spread_zones options interruption deadline data_sets "
               "users residency services current quotas blocked_offers caller_offers tolerance_fraction "
               "month_to_date_egress hours_per_month hours_per_year partitions allow_estimated_prices latest_start readings"),
    (Size, "vcpus memory_gib gpus architecture local_disk_gb network_gbps instance_type"),
    (GpuNeed, "models count memory_gib"),
    (Interruption, "checkpoint_write_hours restart_hours checkpoint_interval_hours checkpoint_store checkpoint_gib "
                   "checkpoint_nanos_per_gib_month max_expected_interruptions"),
    (RegionKey, "cloud region"),
    (DataSet, "location gib reads private_nanos_per_gib private_clouds"),
    (Residency, "countries denied_countries clouds denied_clouds regions denied_regions families denied_families "
                "instance_types denied_instance_types"),
    (OfferPattern, "cloud region zone instance_type option"),
    (EffectivePolicy, "key residencies options price_bases max_price_age max_expected_interruptions max_cost_micros "
                      "required_tags approval_threshold_micros approval_source tolerance_fraction "
                      "minimum_gain_fraction revision sources not_applicable rightsizing "
                      "apply_approval_threshold_micros apply_approval_source"),
    (ProjectState, "learned rooms learned_revision commitment_revision"),
)
for _kind, _names in _FIELDS:
    # A field more may change what is decided, and this kernel would not look at it.
    if set(_kind.__dataclass_fields__) != set(_names.split()):
        raise ImportError(f"{_kind.__name__} has other fields than this kernel knows")

cdef Py_ssize_t at_work = _at(PlaceQuery, "workload"), at_fallbacks = _at(PlaceQuery, "max_fallbacks")
cdef Py_ssize_t at_size = _at(Workload, "size"), at_hours = _at(Workload, "hours")
cdef Py_ssize_t at_is_service = _at(Workload, "is_service"), at_count = _at(Workload, "count")
cdef Py_ssize_t at_spread = _at(Workload, "spread_zones"), at_options = _at(Workload, "options")
cdef Py_ssize_t at_interruption = _at(Workload, "interruption"), at_deadline = _at(Workload, "deadline")
cdef Py_ssize_t at_data_sets = _at(Workload, "data_sets"), at_users = _at(Workload, "users")
cdef Py_ssize_t at_residency = _at(Workload, "residency"), at_services = _at(Workload, "services")
cdef Py_ssize_t at_current = _at(Workload, "current"), at_quotas = _at(Workload, "quotas")
cdef Py_ssize_t at_blocked = _at(Workload, "blocked_offers"), at_caller_offers = _at(Workload, "caller_offers")
cdef Py_ssize_t at_tolerance = _at(Workload, "tolerance_fraction")
cdef Py_ssize_t at_month_to_date = _at(Workload, "month_to_date_egress")
cdef Py_ssize_t at_hours_per_month = _at(Workload, "hours_per_month"), at_partitions = _at(Workload, "partitions")
cdef Py_ssize_t at_tags = _at(Workload, "tags")
cdef Py_ssize_t at_estimated = _at(Workload, "allow_estimated_prices"), at_readings = _at(Workload, "readings")

cdef Py_ssize_t at_vcpus = _at(Size, "vcpus"), at_memory = _at(Size, "memory_gib"), at_gpus = _at(Size, "gpus")
cdef Py_ssize_t at_arch = _at(Size, "architecture"), at_disk = _at(Size, "local_disk_gb")
cdef Py_ssize_t at_network = _at(Size, "network_gbps"), at_type = _at(Size, "instance_type")
cdef Py_ssize_t at_models = _at(GpuNeed, "models"), at_gpu_count = _at(GpuNeed, "count")
cdef Py_ssize_t at_gpu_memory = _at(GpuNeed, "memory_gib")

cdef Py_ssize_t at_write = _at(Interruption, "checkpoint_write_hours")
cdef Py_ssize_t at_restart = _at(Interruption, "restart_hours")
cdef Py_ssize_t at_interval = _at(Interruption, "checkpoint_interval_hours")
cdef Py_ssize_t at_store = _at(Interruption, "checkpoint_store"), at_checkpoint = _at(Interruption, "checkpoint_gib")
cdef Py_ssize_t at_storage_rate = _at(Interruption, "checkpoint_nanos_per_gib_month")
cdef Py_ssize_t at_most_interruptions = _at(Interruption, "max_expected_interruptions")

cdef Py_ssize_t at_key_cloud = _at(RegionKey, "cloud"), at_key_region = _at(RegionKey, "region")
cdef Py_ssize_t at_location = _at(DataSet, "location"), at_gib = _at(DataSet, "gib"), at_reads = _at(DataSet, "reads")
cdef Py_ssize_t at_private = _at(DataSet, "private_nanos_per_gib")
cdef Py_ssize_t at_private_clouds = _at(DataSet, "private_clouds")

cdef Py_ssize_t at_countries = _at(Residency, "countries"), at_no_countries = _at(Residency, "denied_countries")
cdef Py_ssize_t at_clouds = _at(Residency, "clouds"), at_no_clouds = _at(Residency, "denied_clouds")
cdef Py_ssize_t at_regions = _at(Residency, "regions"), at_no_regions = _at(Residency, "denied_regions")
cdef Py_ssize_t at_families = _at(Residency, "families"), at_no_families = _at(Residency, "denied_families")
cdef Py_ssize_t at_types = _at(Residency, "instance_types"), at_no_types = _at(Residency, "denied_instance_types")

cdef Py_ssize_t at_pattern_cloud = _at(OfferPattern, "cloud"), at_pattern_region = _at(OfferPattern, "region")
cdef Py_ssize_t at_pattern_zone = _at(OfferPattern, "zone"), at_pattern_type = _at(OfferPattern, "instance_type")
cdef Py_ssize_t at_pattern_option = _at(OfferPattern, "option")

cdef Py_ssize_t at_learned = _at(ProjectState, "learned"), at_rooms = _at(ProjectState, "rooms")
cdef Py_ssize_t at_approval = _at(EffectivePolicy, "approval_threshold_micros")
cdef Py_ssize_t at_approval_source = _at(EffectivePolicy, "approval_source")
