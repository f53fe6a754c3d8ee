/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/string.h"
#include "cli/text.h"

/* A step can change its state many times within one tick; a serial console draws some 200 lines a
 * second. */
#define TICK_MS     200
#define DRAW_MIN_US 100000

/* In a terminal with fewer rows the table would scroll, and could not be redrawn in place. */
#define ROWS_MIN 24

/* ECMA-48: what xterm, the Linux console and EC2's serial console all know. */
#define CLEAR_LINE "\033[K"
#define PLAIN      "\033[0m"

static const char *const colours[_STEP_STATE_MAX] = {
        [STEP_WAITING] = "\033[2m",   [STEP_PROBING] = "\033[36m",
        [STEP_APPLYING] = "\033[36m", [STEP_VERIFYING] = "\033[36m",
        [STEP_DONE] = "\033[32m",     [STEP_BACKOFF] = "\033[33m",
        [STEP_FAILED] = "\033[31m",   [STEP_WOULD_APPLY] = "\033[33m",
        [STEP_UNKNOWN] = "\033[2m",
};

void progress_init(Progress *progress, FILE *out)
{
        struct winsize size = {};
        bool low = ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_row > 0 &&
                   size.ws_row < ROWS_MIN;
        *progress = (Progress) { .out = out,
                                 .terminal = isatty(fileno(out)) == 1 && !low,
                                 .started_us = text_now_us() };
}

unsigned progress_tick_ms(const Progress *progress)
{
        return progress && progress->terminal ? TICK_MS : 0;
}

static void print_row(FILE *out, const MachineStatus *status, size_t i, uint64_t now_us,
                      unsigned columns, bool colour)
{
        const StepStatus *s = &status->steps[i];
        char duration[TEXT_DURATION_MAX], words[TEXT_STEP_MAX], line[TEXT_STEP_MAX + 128];
        text_step_duration(s, now_us, duration);
        text_step(s, now_us, words);
        int n = snprintf(line, sizeof(line), "  %-19s %-11s %12s  %s", status->table[i].name,
                         step_state_to_string(s->state), duration, words);
        size_t length = n < 0 ? 0 : strlen(line);
        while (length > 0 && line[length - 1] == ' ') {
                length--;
        }
        if (columns && length >= columns) {
                length = columns - 1;
                while (length > 0 && ((unsigned char) line[length] & 0xc0) == 0x80) {
                        length--; /* not within a character */
                }
        }
        const char *begin = colour ? colours[s->state] : "";
        const char *end = colour ? PLAIN CLEAR_LINE : "";
        (void) fprintf(out, "%s%.*s%s\n", begin, (int) length, line, end);
}

unsigned progress_table(FILE *out, const MachineStatus *status, uint64_t now_us, unsigned columns,
                        bool colour)
{
        unsigned lines = 0;
        for (size_t i = 0; i < status->n_steps; i++) {
                if (status->steps[i].runs_here) {
                        print_row(out, status, i, now_us, columns, colour);
                        lines++;
                }
        }
        return lines;
}

static void draw(Progress *p, const MachineStatus *status)
{
        struct winsize size = {};
        bool sized = ioctl(fileno(p->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
        unsigned columns = sized ? size.ws_col : 80;
        if (p->n_drawn) {
                (void) fprintf(p->out, "\033[%uA", p->n_drawn);
        }
        size_t runs_here = 0, done = 0;
        char duration[TEXT_DURATION_MAX];
        uint64_t now = text_now_us();
        machine_count(status, &runs_here, &done);
        p->drawn_us = now;
        text_duration(now - p->started_us, duration);
        (void) fprintf(p->out, "%s: %zu of %zu steps done, %s" CLEAR_LINE "\n",
                       phase_to_string(status->phase), done, runs_here, duration);
        unsigned n = 1 + progress_table(p->out, status, now, columns, true);
        for (unsigned i = n; i < p->n_drawn; i++) {
                (void) fprintf(p->out, CLEAR_LINE "\n"); /* fewer rows than before */
        }
        p->n_drawn = n > p->n_drawn ? n : p->n_drawn;
        (void) fflush(p->out);
}

/* Returns true if the change is worth a line. A probe that holds, or a wait that goes on as before,
 * is not. */
static bool is_worth_a_line(const StepChange *change)
{
        const StepStatus *s = change->after;
        switch (s->state) {
        case STEP_WAITING:
                return false;
        case STEP_PROBING:
        case STEP_VERIFYING:
        case STEP_BACKOFF:
                return step_change_says(change);
        case STEP_APPLYING:
                return (s->attempts == 1 && change->before->attempts == 0) ||
                       step_change_says(change);
        default:
                return s->state != change->before->state || step_change_says(change);
        }
}

void progress_step(Progress *progress, const MachineStatus *status, const StepChange *change)
{
        if (progress->terminal) {
                progress_tick(progress, status);
                return;
        }
        if (!is_worth_a_line(change)) {
                return;
        }
        char duration[TEXT_DURATION_MAX], words[TEXT_STEP_MAX];
        uint64_t now = text_now_us();
        text_duration(now - progress->started_us, duration);
        StepStatus said = *change->after;
        said.next_retry_us = 0; /* a number that is different each time is no news */
        text_step(&said, now, words);
        (void) fprintf(progress->out, "%12s  %s: %s%s%s\n", duration,
                       status->table[change->step].name, step_state_to_string(said.state),
                       words[0] ? ": " : "", words);
        (void) fflush(progress->out);
}

void progress_phase(Progress *progress, const MachineStatus *status)
{
        uint64_t now = text_now_us();
        if (progress->terminal) {
                draw(progress, status);
                return;
        }
        char duration[TEXT_DURATION_MAX];
        text_duration(now - progress->started_us, duration);
        (void) fprintf(progress->out, "%12s  %s\n", duration, phase_to_string(status->phase));
        (void) fflush(progress->out);
}

void progress_tick(Progress *progress, const MachineStatus *status)
{
        uint64_t now = text_now_us();
        if (progress->terminal && now - progress->drawn_us >= DRAW_MIN_US) {
                draw(progress, status);
        }
}
