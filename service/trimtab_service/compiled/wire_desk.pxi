# The whole way: a plain request in, its decision out, the record in the log.

_RECORD = tuple(
    "project decision_id create_time workload_id verdict request response catalog_version state_revision "
    "policy_revision learned_revision commitment_revision cloud region instance_type purchase_option "
    "expected_cost_micros valid_until reserved release_time outcome context".split()
)


cdef class PlainDesk:
    """What `rpc.desk.make` does for plain requests that reserve nothing, and what is done around it.

    Every collaborator is the one that the interpreted desk has; see `rpc.plain_desk` for what each of them is.
    """

    cdef object view, clock, new_id, memo, append, reader_of, attributes, decide, encode, revisions, stands, record
    cdef DecisionWriter writer
    cdef object most

    def __init__(self, *, view, clock, new_id, memo, append, reader_of, attributes, decide, encode, revisions, stands,
                 record, DecisionWriter writer, most):
        if record._fields != _RECORD:
            raise TypeError("the fields of a record are others than this desk knows")
        self.view = view
        self.clock = clock
        self.new_id = new_id
        self.memo = memo
        self.append = append
        self.reader_of = reader_of
        self.attributes = attributes
        self.decide = decide
        self.encode = encode
        self.revisions = revisions
        self.stands = stands
        self.record = record
        self.writer = writer
        self.most = most

    cpdef bytes answer(self, bytes data, str project):
        """The logged decision on a canonical `PlaceRequest`, as bytes; None, and nothing done, for one that is not
        plain."""
        cdef tuple view = <tuple>self.view(project), chosen, offer
        cdef RequestReader reader
        cdef bytes response, depended
        snapshot, vocabulary, policies, state = view
        instant = self.clock()
        memo, key = self.memo, None
        if memo is not None:
            key = _memo_key(data)
            if key is None:
                return None
            kept = memo.find(key, view, project, instant)
            if kept is not None:
                record = kept.again(data, project, instant, self.new_id(instant))
                self.append(record)
                return record[6]
        reader = vocabulary.reader
        if reader is None:
            reader = self.reader_of(vocabulary)
        query = reader.read(data, project)
        if query is None:
            return None
        workload = query.workload
        workload_id = workload.workload_id
        policy = policies.effective(project, workload_id, partial(self.attributes, query))
        if policy.required_tags:
            return None
        decision = self.decide(query, snapshot, policy, state, instant)
        decision_id = self.new_id(instant)
        name = f"projects/{project}/decisions/{decision_id}"
        ruled, learned, owned = policy.revision, state.learned_revision, state.commitment_revision
        version = snapshot.version
        depended = self.revisions(version, ruled, learned, owned, workload.hours_per_month, workload.hours_per_year)
        response = self.writer.write(decision, name, instant, workload_id, depended)
        if response is None:
            message = self.encode(
                decision, name=name, instant=instant, workload_id=workload_id, revisions=depended
            )
            response = message.SerializeToString(deterministic=True)
        cloud = region = kind = option = ""
        cost = None
        if (<tuple>decision)[1] is not None:
            chosen = <tuple>(<tuple>decision)[1]
            offer = <tuple>chosen[0]
            cloud, region, kind, option = offer[0]._value_, offer[1], offer[3], offer[4]._value_
            cost = 0
            for term in <tuple>chosen[1]:
                cost += term
            if cost > self.most:
                cost = self.most
        record = tuple.__new__(self.record, (
            project, decision_id, instant, workload_id, (<tuple>decision)[0]._value_, data, response, version,
            max(ruled, learned, owned), ruled, learned, owned, cloud, region, kind, option, cost, (<tuple>decision)[4],
            False, None, None, None,
        ))
        if memo is not None and self.stands(workload, state, instant):
            memo.keep(key, view, project, instant, record)
        self.append(record)
        return response


cdef object _memo_key(bytes data):
    """What `rpc.memo` knows a canonical request by: the bytes of its workload, and how many fallbacks it wants."""
    cdef Reader r, work
    cdef uint64_t tag
    cdef int64_t fallbacks = -1
    r.at = <const unsigned char*>PyBytes_AS_STRING(data)
    r.end = r.at + PyBytes_GET_SIZE(data)
    r.tag = r.bad = 0
    workload = None
    while r.at < r.end:
        tag = read_tag(&r, 0)
        if tag == 10:
            work = read_part(&r)
        elif tag == 18:
            work = read_part(&r)
            if not r.bad:
                workload = PyBytes_FromStringAndSize(<char*>work.at, work.end - work.at)
        elif tag == 48:
            fallbacks = <int64_t>read_varint(&r)
        else:
            return None
        if r.bad:
            return None
    return None if workload is None else (workload, fallbacks)


cdef class PlainMethod:
    """`Place` from bytes to bytes, for callers that may."""

    cdef PlainDesk desk
    cdef object may, project_of
    cdef dict projects

    def __init__(self, PlainDesk desk, may, project_of):
        """`may` says whether a principal holds the method's role in a project; `project_of` reads the project's id
        from a name, None from what is no such name."""
        self.desk = desk
        self.may = may
        self.project_of = project_of
        self.projects = {}

    def __call__(self, bytes data, principal):
        """The answer; None where the general way has to look, or to refuse."""
        cdef Reader r, part
        r.at = <const unsigned char*>PyBytes_AS_STRING(data)
        r.end = r.at + PyBytes_GET_SIZE(data)
        r.tag = r.bad = 0
        if r.at == r.end or read_tag(&r, 0) != 10:
            return None
        part = read_part(&r)
        if r.bad or part.end - part.at > 128:
            return None
        name = PyBytes_FromStringAndSize(<char*>part.at, part.end - part.at)
        project = self.projects.get(name)
        if project is None:
            project = self.project_of(name)
            if project is None:
                return None
            if len(self.projects) >= MOST_KEPT:
                self.projects.clear()
            self.projects[name] = project
        return self.desk.answer(data, project) if self.may(principal, project) else None
