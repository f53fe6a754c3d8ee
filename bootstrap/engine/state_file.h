/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/string.h"
#include "engine/machine_status.h"

#define STATE_FILE_SCHEMA 1

#define STATE_FILE_MAX_BYTES ((size_t) 512 << 10)

/* What the machine's status is told with, in the contract of `status --json`. */
typedef struct StateFileHead {
        const char *instance_id; /* "" while not known */
        const char *role;        /* "" while not known */
        const char *boot_id;
        int pid;      /* of the process that writes it */
        int daemon;   /* of the service's process as far as it is known, 0 if not */
        bool running; /* it runs the table just now */
} StateFileHead;

/* The document, one line of JSON, appended to *ret:
 *  {"schema":1,"instance_id","role","phase","since","boot_id","pid","daemon","running","looked",
 *   "steps":[{"name","state","attempts","started","finished","looked","waiting_for","reason",
 *   "next_retry","warning","error":{"class","message","errno","http_status","aws_code","request_id"}}]}
 * Times are RFC 3339 in UTC; what is not known, or not so, is null. Steps not of the role are left
 * out. */
int state_file_format(const StateFileHead *head, const MachineStatus *status, Buffer *ret,
                      Error *err);

/* Replaces the file atomically; its folder must exist. */
int state_file_write(const char *path, const StateFileHead *head, const MachineStatus *status,
                     Error *err);

/* A document read back, for status and for who follows another run. */
typedef struct StateFile {
        char instance_id[64], role[32], boot_id[64];
        int pid, daemon; /* 0: none */
        bool running;
        MachineStatus status;
} StateFile;

/* The text is outside data: bounded, every field checked, ERROR_CONFIG for what does not fit. Steps
 * are matched by name to `steps`; an unknown name is ERROR_CONFIG too (another version wrote it).
 * Members this version does not know are left alone. */
int state_file_parse(const char *text, size_t n, const Step *steps, size_t n_steps, StateFile *ret,
                     Error *err);

/* Reads and parses the file. Missing: -ENOENT. */
int state_file_read(const char *path, const Step *steps, size_t n_steps, StateFile *ret,
                    Error *err);
