/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "base/string.h"
#include "engine/machine_internal.h"

/* The calls that a step's functions may make. All of this runs on their workers. */

const Wait *step_wait(const StepContext *context)
{
        return &context->wait;
}

/* Writes text into one of the context's places. With `more` it is appended, unless the place has it
 * already. Returns true if the place has changed. */
static bool context_put(StepContext *c, char *place, bool more, const char *format, va_list ap)
        __attribute__((format(printf, 4, 0)));

static bool context_put(StepContext *c, char *place, bool more, const char *format, va_list ap)
{
        char text[STEP_WAITING_FOR_MAX] = "";
        if (format) {
                (void) vsnprintf(text, sizeof(text), format, ap); /* a long one is cut */
        }
        (void) pthread_mutex_lock(&c->machine->lock);
        bool news = more ? !strstr(place, text) : !streq(place, text);
        if (news) {
                size_t used = more ? strlen(place) : 0;
                (void) snprintf(place + used, STEP_WAITING_FOR_MAX - used, "%s%s", used ? "; " : "",
                                text);
        }
        (void) pthread_mutex_unlock(&c->machine->lock);
        return news;
}

/* Wakes the engine, so that it reads the new text at once. */
static void context_tell(StepContext *c)
{
        (void) pthread_mutex_lock(&c->machine->lock);
        c->told = true;
        c->reason_is_news = false;
        (void) pthread_mutex_unlock(&c->machine->lock);
        worker_wake(c->machine->workers);
}

void step_waiting_for(StepContext *context, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        if (context_put(context, context->waiting_for, false, format, ap)) {
                context_tell(context);
        }
        va_end(ap);
}

void step_not_yet(StepContext *context, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        /* not told at once: the probe is about to end, or step_await() tells after the look */
        context->reason_is_news |= context_put(context, context->reason, false, format, ap);
        va_end(ap);
}

void step_warn(StepContext *context, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        if (context_put(context, context->warning, true, format, ap)) {
                context_tell(context);
        }
        va_end(ap);
}

unsigned step_looks(const StepContext *context)
{
        return context->looks;
}

void step_look_soon(StepContext *context)
{
        context->look_soon = true;
}

int step_await(StepContext *context, StepFunction *look, void *userdata, StepRetry every,
               unsigned limit_s, Error *err)
{
        Wait part = wait_part(&context->wait, limit_s ? (uint64_t) limit_s * 1000 : UINT64_MAX);
        unsigned pauses = 0;
        for (context->looks = 0;; context->looks++) {
                context->look_soon = false;
                int r = look(userdata, context, err);
                if (r != 0) {
                        return r;
                }
                if (context->reason_is_news) {
                        context_tell(context);
                }
                pauses = context->look_soon ? 0 : pauses;
                Error slept = {};
                r = wait_sleep(&part, wait_backoff_ms(every.first_ms, every.max_ms, pauses++),
                               &slept);
                if (r == -ETIMEDOUT && wait_left_ms(&context->wait) > 0) {
                        return 0;
                }
                if (r < 0) {
                        *err = slept;
                        return r;
                }
        }
}

void step_run_job(Job *job)
{
        StepContext *c = (StepContext *) job;
        void *userdata = c->machine->options->userdata;
        c->error = (Error) {};
        c->looks = 0;
        c->reason_is_news = false;
        c->result = c->settle_s ? step_await(c, c->function, userdata, c->settle, c->settle_s,
                                             &c->error)
                                : c->function(userdata, c, &c->error);
}
