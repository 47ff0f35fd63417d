/* SPDX-License-Identifier: MIT */
/*
 * The machine's virtual clock and its timers. Nanoseconds since the machine was created; the clock
 * stands still while the machine is stopped. Guest-visible time comes from here or from the RTC base.
 *
 * Threads: reading the clock is lock-free. Timers are armed under the machine lock (or from a vCPU
 * through timer_arm, which locks its own queue); they expire in the main loop under the machine lock. A
 * handler may give that lock up if what its timer lies in cannot be freed meanwhile; all other timers wait.
 */
#ifndef MACHINE_CLOCK_H
#define MACHINE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Machine Machine;
typedef struct Timer Timer;

typedef void TimerHandler(void *opaque);

struct Timer {
    Machine *machine;
    TimerHandler *handler;
    void *opaque;
    int64_t deadline_ns; /* -1 when not armed */
    unsigned heap_index; /* private to the queue */
};

int64_t clock_now_ns(Machine *machine);
/* Nanoseconds since 1970 that the guest's RTC should show now (-rtc base=, clock=). */
int64_t clock_rtc_ns(Machine *machine);
/* The same for a clock that is always in UTC: without what base=localtime adds. */
int64_t clock_utc_ns(Machine *machine);

/*
 * Where -rtc clock=vm without base= counts from: nanoseconds since 1970 at virtual time 0. It goes with a saved machine. A set
 * one is taken only by such a clock.
 */
int64_t clock_rtc_start_ns(Machine *machine);
void clock_set_rtc_start_ns(Machine *machine, int64_t start_ns);

void timer_init(Timer *timer, Machine *machine, TimerHandler *handler, void *opaque);
/* Absolute deadline; a deadline in the past expires at once (in the main loop). Rearms if armed. */
void timer_arm(Timer *timer, int64_t deadline_ns);
void timer_cancel(Timer *timer);
static inline bool timer_is_armed(const Timer *timer)
{
    return timer->deadline_ns >= 0;
}

/*
 * For who drives the clock in place of the host's time (qtest): from here on it moves by clock_advance alone. Before
 * the machine starts.
 */
void clock_set_manual(Machine *machine);
bool clock_is_manual(Machine *machine);
/* Goes on to a time, expiring each timer at its own on the way. Never back. With the machine lock. */
void clock_advance(Machine *machine, int64_t to_ns);
/* When the next timer expires, or -1. */
int64_t clock_next_deadline_ns(Machine *machine);

#endif
