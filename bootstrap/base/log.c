/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/string.h"

#define LOG_FIELDS_MAX 16
#define LOG_TEXT_MAX   2048

static atomic_int max_priority = LOG_INFO;
static atomic_bool verbose;

void log_set_max_priority(int priority)
{
        max_priority = priority;
}

void log_set_verbose(void)
{
        max_priority = LOG_DEBUG;
        verbose = true;
}

bool log_has_debug(void)
{
        return max_priority >= LOG_DEBUG;
}

/* The lines of one entry, each "NAME=value", in a fixed space: logging must work without memory. */
typedef struct Entry {
        char text[LOG_FIELDS_MAX][LOG_TEXT_MAX / 4];
        char message[LOG_TEXT_MAX + 16];
        struct iovec fields[LOG_FIELDS_MAX + 1];
        size_t n;
} Entry;

static void entry_add(Entry *e, const char *name, const char *value)
{
        if (isempty(value) || e->n >= LOG_FIELDS_MAX) {
                return;
        }
        char *text = e->text[e->n];
        int n = snprintf(text, sizeof(e->text[0]), "%s=%s", name, value);
        size_t used = n < 0 ? 0 : (size_t) n;
        if (used >= sizeof(e->text[0])) {
                used = sizeof(e->text[0]) - 1;
        }
        e->fields[e->n++] = (struct iovec) { text, used };
}

static void entry_add_number(Entry *e, const char *name, int value)
{
        char text[16];
        if (value != 0) {
                (void) snprintf(text, sizeof(text), "%d", value);
                entry_add(e, name, text);
        }
}

static void entry_send(Entry *e, int priority, const char *message_id, const LogField *fields,
                       size_t n_fields, const char *message)
{
        int n = snprintf(e->message, sizeof(e->message), "MESSAGE=%s", message);
        char level[4];
        (void) snprintf(level, sizeof(level), "%d", priority);
        entry_add(e, "PRIORITY", level);
        entry_add(e, "MESSAGE_ID", message_id);
        for (size_t i = 0; i < n_fields; i++) {
                entry_add(e, fields[i].name, fields[i].value);
        }
        e->fields[e->n++] =
                (struct iovec) { e->message, n < 0 ? 0 : strnlen(e->message, sizeof(e->message)) };
        /* sd_journal_sendv() reports no error if there is no journal */
        bool sent = access("/run/systemd/journal/socket", F_OK) == 0 &&
                    sd_journal_sendv(e->fields, (int) e->n) == 0;
        if (!sent || (verbose && priority == LOG_DEBUG)) {
                (void) fprintf(stderr, "kube-bootstrap: %s\n", message);
        }
}

void log_write(int priority, const char *message_id, const LogField *fields, size_t n_fields,
               const char *format, ...)
{
        if (priority > max_priority) {
                return;
        }
        char message[LOG_TEXT_MAX];
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap); /* a long one is cut */
        va_end(ap);
        Entry entry = { .n = 0 };
        entry_send(&entry, priority, message_id, fields, n_fields, message);
}

void log_error(int priority, const char *message_id, const LogField *fields, size_t n_fields,
               const Error *error, const char *format, ...)
{
        if (priority > max_priority) {
                return;
        }
        char message[LOG_TEXT_MAX];
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        size_t used = strlen(message);
        (void) snprintf(message + used, sizeof(message) - used, ": %s", error->message);
        Entry entry = { .n = 0 };
        entry_add(&entry, LOG_FIELD_ERROR_CLASS, error_class_to_string(error->class));
        entry_add(&entry, LOG_FIELD_AWS_CODE, error->aws_code);
        entry_add(&entry, LOG_FIELD_REQUEST_ID, error->request_id);
        entry_add_number(&entry, LOG_FIELD_ERRNO, error->error);
        entry_add_number(&entry, LOG_FIELD_HTTP_STATUS, error->http_status);
        entry_send(&entry, priority, message_id, fields, n_fields, message);
}
