/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inside of the machine, shared by its loop (machine.c), its changes of state (transition.c)
 * and the calls of its steps (context.c). All functions but step_run_job() are for the engine's
 * thread. */

#include <pthread.h>

#include "engine/machine.h"
#include "engine/worker.h"

typedef struct Machine Machine;

struct StepContext {
        Job job; /* first, so that a Job * can be cast to its context */
        Machine *machine;
        size_t id;
        Wait wait;

        /* the running job: set before it starts, read when it has ended */
        StepFunction *function;
        unsigned settle_s; /* not 0: the function is called until it holds, or this time is over */
        StepRetry settle;  /* the pauses between these calls */
        int result;
        Error error;

        /* used by the worker only, in step_await() */
        unsigned looks;
        bool look_soon, reason_is_news;

        /* written by the worker at any time, under the machine's lock */
        char waiting_for[STEP_WAITING_FOR_MAX];
        char reason[STEP_WAITING_FOR_MAX];
        char warning[STEP_WAITING_FOR_MAX];
        bool told;

        /* used by the engine only */
        uint64_t retry_at_ms; /* when the backoff ends */
        unsigned failures;    /* in a row, for the backoff */
        bool applied;         /* an apply of this run has succeeded */
        bool begun;           /* its deadline runs */
        uint64_t done_ms;     /* when it last was found done */
};

struct Machine {
        const MachineOptions *options;
        MachineStatus status;
        Workers *workers;
        pthread_mutex_t lock;
        int stop_fd; /* an eventfd in all waits, written by machine_cancel() */
        bool stopping, stopped_on_request;
        unsigned kind;
        uint64_t runs; /* the rows that this machine runs */
        uint64_t done, running, forced;
        int result;
        Error error;
        StepContext contexts[STEPS_MAX];
        StepStatus told[STEPS_MAX]; /* what the observer knows */
        bool changed;               /* since the last call of its `pause` */
};

static inline const Step *machine_step(const Machine *m, size_t i)
{
        return &m->options->steps[i];
}

/* Returns those of the step's needs that this machine runs. */
static inline uint64_t machine_needs(const Machine *m, size_t i)
{
        return machine_step(m, i)->needs & m->runs;
}

/* Asks for the kind of this machine, and notes which rows it runs. */
void machine_learn_kind(Machine *m);

void machine_tell_phase(Machine *m);
void machine_tell_step(Machine *m, size_t i);
void machine_tell_pause(Machine *m);
void machine_cancel(Machine *m);
void phase_set(Machine *m, Phase phase);

uint64_t unmet_needs(const Machine *m, size_t i);
/* Updates which steps this machine runs, and what each waiting step waits for. */
void refresh_waiting(Machine *m);

void step_enter(Machine *m, size_t i, StepState state);
/* Enters the state and gives the step's probe or apply, as the state says, to a worker. */
void step_start(Machine *m, size_t i, StepState state);
/* Copies the worker's texts to the step's status, and tells the observer if the worker asked for
 * it. */
void step_take_words(Machine *m, size_t i);
/* Called when the worker has ended: acts on its result. */
void step_proceed(Machine *m, size_t i);
/* Makes a step that is done wait for a new probe, with a new deadline. */
void step_look_again(Machine *m, size_t i);
/* Probes a step again after its backoff, or fails it if its deadline has passed. */
void step_retry(Machine *m, size_t i);
/* Runs the step's function, on a worker. */
void step_run_job(Job *job);

uint64_t machine_now_us(void);
