/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

#include "base/error.h"

/* The fields that we write to the journal; a query is `journalctl BOOTSTRAP_STEP=volume-mount`. */
#define LOG_FIELD_STEP        "BOOTSTRAP_STEP"
#define LOG_FIELD_STATE       "BOOTSTRAP_STATE"
#define LOG_FIELD_PHASE       "BOOTSTRAP_PHASE"
#define LOG_FIELD_ROLE        "BOOTSTRAP_ROLE"
#define LOG_FIELD_ATTEMPT     "BOOTSTRAP_ATTEMPT"
#define LOG_FIELD_ERROR_CLASS "BOOTSTRAP_ERROR_CLASS"
#define LOG_FIELD_ERRNO       "ERRNO"
#define LOG_FIELD_AWS_CODE    "AWS_CODE"
#define LOG_FIELD_REQUEST_ID  "AWS_REQUEST_ID"
#define LOG_FIELD_HTTP_STATUS "HTTP_STATUS"

/* Message ids: each has an entry in units/kube-bootstrap.catalog (a test compares them). */
#define LOG_ID_PHASE        "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c101"
#define LOG_ID_STEP_DONE    "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c102"
#define LOG_ID_STEP_APPLY   "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c103"
#define LOG_ID_STEP_RETRY   "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c104"
#define LOG_ID_STEP_FAILED  "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c105"
#define LOG_ID_STEP_UNSAFE  "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c106"
#define LOG_ID_STEP_WARNING "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c107"
#define LOG_ID_CHILD        "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c108"
#define LOG_ID_CONFIG       "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c109"
#define LOG_ID_NOTIFY       "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c10a"
#define LOG_ID_CFN_SIGNAL   "6f0c4a9d2c4e4b0fa5d0a8b8f3a0c10b"

typedef struct LogField {
        const char *name;
        const char *value; /* NULL: left out */
} LogField;

/* Writes one structured entry, to standard error if there is no journal. message_id may be NULL.
 * Thread-safe. Must not be given a secret. */
void log_write(int priority, const char *message_id, const LogField *fields, size_t n_fields,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Does what log_write() does, and adds the message and the fields of the Error. */
void log_error(int priority, const char *message_id, const LogField *fields, size_t n_fields,
               const Error *error, const char *format, ...) __attribute__((format(printf, 6, 7)));

#define log_debug(...) log_write(LOG_DEBUG, NULL, NULL, 0, __VA_ARGS__)

/* Entries above this priority are dropped (default LOG_INFO). */
void log_set_max_priority(int priority);

/* Keeps entries with LOG_DEBUG, and prints these to standard error too. */
void log_set_verbose(void);

/* Returns true if entries with LOG_DEBUG are kept, so that a caller need not prepare an entry that
 * would be dropped. */
bool log_has_debug(void);
