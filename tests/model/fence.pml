/*
 * One run of STEPS steps, two processes that may take it, a lease that may end at any moment (no clock is believed),
 * and targets that compare the fencing token: failover/machine.py, store/failover_leases.py, the traffic switch.
 *
 * Checked in every reachable state: no effect before its begin is durable, no target goes back to an earlier step
 * (a stale controller never switches back), the journal never goes back, tokens only grow; and whenever nothing
 * can move any more, the run is complete at the journal and at the target.
 *
 * Mutations that must fail: NO_FENCE (the target compares nothing), NO_GUARD (the journal takes writes of whoever held
 * the run once), SAME_TOKEN (a claim gives out no new token).
 */
#define STEPS 3
#define MAX_TOKEN 4

byte db_token = 0;   /* newest token given out */
byte db_begun = 0;   /* last step whose begin is durable */
byte db_done = 0;    /* last step whose end is durable */
bool leased = false;

byte fence = 0;      /* newest token that the target has seen */
byte value = 0;      /* step that the target stands at */

inline lose() {
  token = 0;
  step = 0
}

active [2] proctype worker() {
  byte token = 0;
  byte step = 0;

  do
  :: atomic { token == 0 && !leased && db_done < STEPS ->
#ifdef SAME_TOKEN
       if :: db_token == 0 -> db_token = 1 :: else fi;
#else
       assert(db_token < MAX_TOKEN + 1);
       db_token++;
#endif
       token = db_token;
       leased = true;
       step = db_done + 1;
       if :: step > db_begun -> db_begun = step :: else fi
     }
  :: atomic { token != 0 && step != 0 -> skip };
     /* between here and the effect the process may be stopped for as long as it likes */
     atomic {
       if
#ifdef NO_FENCE
       :: true ->
#else
       :: token >= fence ->
          fence = token;
#endif
          assert(step <= db_begun);
          assert(step >= value);
          value = step
#ifndef NO_FENCE
       :: token < fence -> lose(); goto next
#endif
       fi
     };
     /* the end of this step and the begin of the next one are one commit */
     atomic {
       if
#ifdef NO_GUARD
       :: true ->
#else
       :: token == db_token ->
#endif
          assert(step >= db_done);
          assert(value >= step);
          db_done = step;
          if
          :: step < STEPS -> step++; if :: step > db_begun -> db_begun = step :: else fi
          :: else -> leased = false; lose()
          fi
#ifndef NO_GUARD
       :: token != db_token -> lose()
#endif
       fi
     };
next: skip
  :: db_done == STEPS && token == 0 -> break
  od
}

/* The lease ends while its holder goes on: stopped, slow, cut off or dead. */
active proctype expiry() {
  do
  :: atomic { leased && db_token < MAX_TOKEN -> leased = false }
  :: db_done == STEPS -> break
  od
}

active proctype monitor() {
  timeout;
  assert(db_done == STEPS && value == STEPS)
}
