/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "steps/boot.h"

typedef enum Verb {
        VERB_RUN,
        VERB_STATUS,
        VERB_PLAN,
        VERB_CHECK_CONFIG,
        VERB_GRAPH,
        VERB_HELP,
        VERB_VERSION,
        _VERB_MAX,
        _VERB_INVALID = -EINVAL,
} Verb;

typedef struct Arguments {
        Verb verb;
        uint64_t force; /* --from: the step's bit */
        bool verbose;
        bool no_follow;
        bool resident;
        bool json;
        bool wait;
        unsigned wait_s; /* 0: as long as it takes */
        bool follow;
        BootOverrides overrides;
        const char *file;
} Arguments;

typedef struct Option {
        const char *name;
        unsigned verbs;       /* bits 1 << VERB_… of the verbs that take it */
        const char *argument; /* as help names it; NULL: none. In brackets: may be left out */
        const char *help;
} Option;

/* THE table of options: parser, --help and a test of the manual page follow from it. */
extern const Option cli_options[];
extern const size_t cli_n_options;

const char *verb_to_string(Verb verb);

/* Parses the command line. Returns 0, or ERROR_CONFIG with what is wrong; the exit status is then
 * EXIT_USAGE. */
int arguments_parse(int argc, char *const *argv, Arguments *ret, Error *err);

bool overrides_any(const BootOverrides *overrides);

void help_print(FILE *out);
