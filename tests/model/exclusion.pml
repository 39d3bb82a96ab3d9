/*
 * Runs of one service started by people, by detection and by the schedule of drills, on two replicas at once:
 * failover/admission.py under the turn and the service's row of store/failover_runs.py.
 *
 * Checked in every reachable state: at most one run is under way; a real event interrupts a drill and a drill
 * interrupts nothing; detection starts nothing within the cooldown after a real run, and never goes back to the side
 * that was left; the deployment's limit holds.
 *
 * Mutations that must fail: NO_EXCLUSION (the decision and the insertion are two transactions), NO_COOLDOWN,
 * AUTOMATIC_FAILBACK, NO_LIMIT.
 */
#define MANUAL 1
#define AUTOMATIC 2
#define DRILL 3
#define COOLDOWN 2
#define TIME 4
#define LIMIT 1
#define SERVICES 2

byte now = 0;
byte live[SERVICES];          /* the trigger of the run under way, by service; 0: none */
byte runs[SERVICES];          /* rows without an end, by service: what live stands for */
byte under_way = 0;           /* rows without an end, in the deployment */
bool ended[SERVICES];         /* a real run has ended */
byte end_time[SERVICES];
bool was_left[SERVICES];      /* the other side was left by a real run, and nobody went back */

inline insert_run() {
  if
  :: live[s] == DRILL && seen == DRILL -> runs[s]--; under_way--    /* it gives way */
  :: else
  fi;
  live[s] = trigger;
  runs[s]++;
  under_way++;
  assert(runs[s] == 1);
  assert(under_way <= LIMIT);
  if
  :: trigger == AUTOMATIC ->
     assert(!ended[s] || now >= end_time[s] + COOLDOWN);
     assert(!was_left[s])
  :: else
  fi
}

#ifdef NO_LIMIT
#define BELOW_LIMIT true
#else
#define BELOW_LIMIT (under_way - (seen != 0 -> 1 : 0) < LIMIT)
#endif
#ifdef NO_COOLDOWN
#define COOLED true
#else
#define COOLED (trigger != AUTOMATIC || !ended[s] || now >= end_time[s] + COOLDOWN)
#endif
#ifdef AUTOMATIC_FAILBACK
#define NOT_BACK true
#else
#define NOT_BACK (trigger != AUTOMATIC || !was_left[s])
#endif
#define ADMITTED ((seen == 0 || (seen == DRILL && trigger != DRILL)) && BELOW_LIMIT && COOLED && NOT_BACK)

inline choose() {
  if :: trigger = MANUAL :: trigger = AUTOMATIC :: trigger = DRILL fi;
  if :: s = 0 :: s = 1 fi
}

active [2] proctype replica() {
  byte trigger;
  byte s;
  byte seen;

  do
#ifdef NO_EXCLUSION
  :: atomic { now < TIME -> choose(); seen = live[s]; if :: ADMITTED :: else -> goto refused fi };
     atomic { insert_run();
refused: trigger = 0; s = 0; seen = 0 }
#else
  :: atomic { now < TIME -> choose(); seen = live[s];
       if :: ADMITTED -> insert_run() :: else fi;
       trigger = 0; s = 0; seen = 0 }
#endif
  :: now >= TIME -> break
  od
}

active proctype ending() {
  byte s;
  do
  :: atomic { now < TIME ->
       if :: s = 0 :: s = 1 fi;
       if
       :: live[s] != 0 ->
          if
          :: live[s] != DRILL ->
             ended[s] = true; end_time[s] = now;
             was_left[s] = !was_left[s]     /* traffic goes to the other side: away, or back */
          :: else
          fi;
          live[s] = 0; runs[s]--; under_way--
       :: else
       fi;
       s = 0
     }
  :: now >= TIME -> break
  od
}

active proctype time() {
  do
  :: now < TIME -> now++
  :: else -> break
  od
}
