# Rows of costs as doubles that hold whole micro-USD below 2**51, each product rounded once, half to even, as numpy and
# Python's `round` do. The compiler may not contract products and sums.

cdef extern from *:
    """
    #define ROUNDER 6755399441055744.0 /* 1.5 * 2**52 */
    #define EXACT 2251799813685248.0 /* 2**51 */
    /* Nearest whole number, half to even, for sizes under 2**51; what is larger stays at least as large. */
    static inline double whole(double x) { return (x + ROUNDER) - ROUNDER; }
    /* What `gib` costs by the internet tiers of one source and geography, from `start` of a month on. */
    static double tiered(const double *from, const int64_t *nanos, int tiers, double start, double gib) {
        double total = 0.0, end = start + gib;
        for (int i = 0; i < tiers && from[i] < INFINITY; i++) {
            double lower = from[i], upper = i + 1 < tiers ? from[i + 1] : INFINITY;
            if (lower <= start && end <= upper) return start < upper ? whole((double)nanos[i] * (gib / 1000.0)) : 0.0;
            double part = (end < upper ? end : upper) - (start > lower ? start : lower);
            if (part > 0.0) total += whole((double)nanos[i] * (part / 1000.0));
        }
        return total;
    }
    /* Adds reading from one source, over the regions of one cloud: in its own by pairs, in others by geography. */
    static void add_pairs(double *sum, const int64_t *pair, double thousand, int n) {
        for (int r = 0; r < n; r++) sum[r] += whole((double)pair[r] * thousand);
    }
    static void add_by_geography(double *sum, const double *cost, const int8_t *geography, int n) {
        for (int r = 0; r < n; r++) sum[r] += cost[geography[r]];
    }
    static void add_same(double *sum, double cost, int n) {
        for (int r = 0; r < n; r++) sum[r] += cost;
    }
    static void cost_row(double *cost, const double *price, const double *sum, double factor, int n) {
        for (int r = 0; r < n; r++) cost[r] = whole(price[r] * factor) + sum[r];
    }
    /* Lane j holds cells j, j + LANES, ...: its least is found by as many comparisons at once as the machine has. */
    #define LANES 16
    static void lane_minima(const double *cost, double *least, int n) {
        for (int j = 0; j < LANES; j++) least[j] = cost[j];
        for (int i = LANES; i < n; i += LANES)
            for (int j = 0; j < LANES; j++) least[j] = cost[i + j] < least[j] ? cost[i + j] : least[j];
    }
    /* The cell of least cost, which is then left out; -1 when all are. */
    static int take_least(double *cost, double *least, int n, double *bound) {
        int lane = 0, cell = -1;
        for (int j = 1; j < LANES; j++) if (least[j] < least[lane]) lane = j;
        double sought = least[lane], next = INFINITY;
        if (sought == INFINITY) return -1;
        for (int i = lane; i < n; i += LANES) {
            if (cell < 0 && cost[i] == sought) { cell = i; cost[i] = INFINITY; }
            if (cost[i] < next) next = cost[i];
        }
        least[lane] = next;
        *bound = sought;
        return cell;
    }
    /* The dearest of the lanes' least: about three cells in sixteen cost no more, and hardly more are ever opened. */
    static double dearest_of(const double *least) {
        double found = 0.0;
        for (int j = 0; j < LANES; j++) if (least[j] > found && least[j] < INFINITY) found = least[j];
        return found;
    }
    static inline void fetch(const void *memory) { __builtin_prefetch(memory); }
    static double least_of(const double *least) {
        double found = least[0];
        for (int j = 1; j < LANES; j++) if (least[j] < found) found = least[j];
        return found;
    }
    static inline int has_bit(const uint64_t *set, int i) { return (int)(set[i >> 6] >> (i & 63)) & 1; }
    static inline int count_bits(const uint64_t *set, int words) {
        int found = 0;
        for (int i = 0; i < words; i++) found += __builtin_popcountll(set[i]);
        return found;
    }
    static inline void keep_bits(uint64_t *set, const uint64_t *others, int words) {
        for (int i = 0; i < words; i++) set[i] &= others[i];
    }
    static inline int lowest_bit(uint64_t word) { return __builtin_ctzll(word); }
    """
    enum:
        LANES
    double EXACT
    double whole(double) nogil
    double tiered(const double*, const int64_t*, int, double, double) nogil
    void add_pairs(double*, const int64_t*, double, int) nogil
    void add_by_geography(double*, const double*, const int8_t*, int) nogil
    void add_same(double*, double, int) nogil
    void cost_row(double*, const double*, const double*, double, int) nogil
    void lane_minima(const double*, double*, int) nogil
    int take_least(double*, double*, int, double*) nogil
    double least_of(const double*) nogil
    double dearest_of(const double*) nogil
    void fetch(const void*) nogil
    bint has_bit(const uint64_t*, int) nogil
    int count_bits(const uint64_t*, int) nogil
    void keep_bits(uint64_t*, const uint64_t*, int) nogil
    int lowest_bit(uint64_t) nogil
