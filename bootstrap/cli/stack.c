/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/stack.h"

#include <errno.h>

#include "base/log.h"
#include "engine/notify.h"
#include "engine/outcome.h"
#include "steps/stack.h"

/* One attempt, with AWS's own repetitions in it: short enough for what else the daemon does. */
#define ATTEMPT_MS 15000

/* Between attempts. No creation policy waits longer than 12 h, but an answer costs little. */
#define AGAIN_FIRST_MS 1000
#define AGAIN_MAX_MS   60000

/* How long an end is put off for its being told. */
#define FAREWELL_MS 45000

/* Whether that is the end of it. */
static bool say(StackWord *word, Boot *boot, bool ready, const Wait *wait)
{
        Error error = { 0 };
        Wait attempt = wait_part(wait, ATTEMPT_MS);
        int r = stack_signal(boot, ready, &attempt, &error);
        if (r == -EALREADY) {
                log_write(LOG_INFO, NULL, NULL, 0,
                          "no operation of the stack waits for this instance: nothing to tell it");
                log_error(LOG_DEBUG, NULL, NULL, 0, &error, "CloudFormation's words");
        } else if (r > 0) {
                log_write(LOG_INFO, NULL, NULL, 0, "the stack was told: %s",
                          ready ? "ready" : "failed");
        } else if (r < 0) {
                if (word->attempts == 0 && r != -ECANCELED) {
                        log_error(LOG_WARNING, LOG_ID_STACK, NULL, 0, &error,
                                  "the stack could not be told yet");
                }
                word->attempts++;
                word->due_ms = wait_now_ms() +
                               wait_backoff_ms(AGAIN_FIRST_MS, AGAIN_MAX_MS, word->attempts - 1);
                return false;
        }
        word->said = true;
        return true;
}

void stack_word_ready(StackWord *word)
{
        if (word->refused_since_ms) {
                *word = (StackWord) { .said = word->said };
        }
}

void stack_word_refused(StackWord *word)
{
        if (!word->refused_since_ms) {
                word->refused_since_ms = wait_now_ms();
                word->due_ms = word->refused_since_ms + boot_patience_ms;
        }
}

void stack_say_due(StackWord *word, Boot *boot, int stop_fd)
{
        const Wait wait = { .deadline_ms = UINT64_MAX, .stop_fd = stop_fd };
        if (stack_due_ms(word) <= wait_now_ms()) {
                bool ready = !word->refused_since_ms;
                (void) say(word, boot, ready, &wait); /* what becomes of it is in *word */
        }
}

uint64_t stack_due_ms(const StackWord *word)
{
        return word->said ? UINT64_MAX : word->due_ms;
}

void stack_say_failed(StackWord *word, Boot *boot, const Error *why, int stop_fd)
{
        const Wait forever = { .deadline_ms = UINT64_MAX, .stop_fd = stop_fd };
        const Wait wait = wait_part(&forever, FAREWELL_MS);
        if (word->said || outcome_of(why)->stack != OUTCOME_AT_ONCE) {
                return;
        }
        word->attempts = 0;
        for (;;) {
                notify_alive();
                if (say(word, boot, false, &wait)) {
                        return;
                }
                uint64_t now = wait_now_ms();
                if (wait_sleep(&wait, word->due_ms > now ? word->due_ms - now : 0, NULL) < 0) {
                        return; /* given up: the stack's own timeout will tell */
                }
        }
}
