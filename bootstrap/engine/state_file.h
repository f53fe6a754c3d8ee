/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/string.h"
#include "engine/machine_status.h"

#define STATE_FILE_SCHEMA 1

#define STATE_FILE_MAX_BYTES ((size_t) 512 << 10)

/* The members of the document that are not in MachineStatus. The document is the contract of
 * `status --json`. */
typedef struct StateFileHead {
        const char *instance_id; /* "" while not known */
        const char *role;        /* "" while not known */
        const char *runtime;     /* of containers; "" while not known */
        const char *boot_id;
        int pid;      /* of the process that writes it */
        int daemon;   /* of the service's process, 0 if not known */
        bool running; /* the process `pid` is running the table */
} StateFileHead;

/* Appends the document, one line of JSON, to *ret:
 *  {"schema":1,"instance_id","role","runtime","phase","since","boot_id","pid","daemon","running",
 *   "looked","steps":[{"name","state","attempts","started","finished","looked","waiting_for","reason",
 *   "next_retry","warning","error":{"class","message","errno","http_status","aws_code","request_id"}}]}
 * Times are RFC 3339 in UTC. A value that is not known, or does not apply, is null. Steps that the
 * kind does not run are left out. */
int state_file_format(const StateFileHead *head, const MachineStatus *status, Buffer *ret,
                      Error *err);

/* Replaces the file atomically; its folder must exist. */
int state_file_write(const char *path, const StateFileHead *head, const MachineStatus *status,
                     Error *err);

/* A document that was read back, for `status` and for a process that follows another run. */
typedef struct StateFile {
        char instance_id[64], role[32], runtime[32], boot_id[64];
        int pid, daemon; /* 0: none */
        bool running;
        MachineStatus status;
} StateFile;

/* Parses a document. The text comes from outside, so every member is checked, and one that does not
 * fit is ERROR_CONFIG. Steps are matched by name to `steps`; an unknown name is ERROR_CONFIG too
 * (another version wrote it). Members that this version does not know are ignored. */
int state_file_parse(const char *text, size_t n, const Step *steps, size_t n_steps, StateFile *ret,
                     Error *err);

/* Reads and parses the file. Missing: -ENOENT. */
int state_file_read(const char *path, const Step *steps, size_t n_steps, StateFile *ret,
                    Error *err);
