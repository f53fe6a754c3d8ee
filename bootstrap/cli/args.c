/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <errno.h>
#include <getopt.h>

#include "base/string.h"

#define BIT(verb) (1u << (verb))

static const struct {
        const char *name, *argument, *help;
} verbs[_VERB_MAX] = {
        [VERB_RUN] = { "run", "", "converge now; the verb that is meant where none is given" },
        [VERB_STATUS] = { "status", "", "how far it is, and what it waits for" },
        [VERB_PLAN] = { "plan", "", "what a run would change; writes nothing anywhere" },
        [VERB_CHECK_CONFIG] = { "check-config", " [FILE]", "check stack-config.sh" },
        [VERB_GRAPH] = { "graph", "", "the table of steps, for Graphviz" },
        [VERB_HELP] = { "help", "", "this text" },
        [VERB_VERSION] = { "version", "", "the program's version" },
};

typedef enum OptionId {
        OPTION_VERBOSE,
        OPTION_FROM,
        OPTION_NO_FOLLOW,
        OPTION_RESIDENT,
        OPTION_NEW_CLUSTER,
        OPTION_NEW_KEYS,
        OPTION_FORCE_DETACH,
        OPTION_TAKEOVER,
        OPTION_FORMAT_VOLUME,
        OPTION_JSON,
        OPTION_WAIT,
        OPTION_FOLLOW,
        OPTION_HELP,
        OPTION_VERSION,
        _OPTION_MAX,
} OptionId;

const Option cli_options[] = {
        [OPTION_VERBOSE] = { "verbose", BIT(VERB_RUN) | BIT(VERB_PLAN), NULL,
                             "trace each request, command, mount and file that is written" },
        [OPTION_FROM] = { "from", BIT(VERB_RUN), "STEP",
                          "apply STEP and what depends on it also where it is already so" },
        [OPTION_NO_FOLLOW] = { "no-follow", BIT(VERB_RUN), NULL,
                               "do not follow another run that is active: exit with status 4" },
        [OPTION_RESIDENT] = { "resident", BIT(VERB_RUN), NULL,
                              "stay, look again now and then, mend what is no longer so" },
        [OPTION_NEW_CLUSTER] = { "new-cluster", BIT(VERB_RUN), NULL,
                                 "volume and bucket disagree: begin a new cluster" },
        [OPTION_NEW_KEYS] = { "new-keys", BIT(VERB_RUN), NULL,
                              "make new certificates over existing data" },
        [OPTION_FORCE_DETACH] = { "force-detach", BIT(VERB_RUN), NULL,
                                  "take the volume from an instance that is not running" },
        [OPTION_TAKEOVER] = { "takeover", BIT(VERB_RUN), NULL,
                              "take over the claim of an instance that is gone" },
        [OPTION_FORMAT_VOLUME] = { "format-volume", BIT(VERB_RUN), NULL,
                                   "format a volume that nothing known is on and that is not "
                                   "proven new" },
        [OPTION_JSON] = { "json", BIT(VERB_STATUS) | BIT(VERB_PLAN), NULL, "for programs" },
        [OPTION_WAIT] = { "wait", BIT(VERB_STATUS), "[SECONDS]",
                          "wait until it is ready or has failed" },
        [OPTION_FOLLOW] = { "follow", BIT(VERB_STATUS), NULL,
                            "show steps as they happen until it is ready or has failed" },
        [OPTION_HELP] = { "help", BIT(_VERB_MAX) - 1, NULL, "this text" },
        [OPTION_VERSION] = { "version", BIT(_VERB_MAX) - 1, NULL, "the program's version" },
};

const size_t cli_n_options = ELEMENTS(cli_options);

const char *verb_to_string(Verb verb)
{
        return verb >= 0 && verb < _VERB_MAX ? verbs[verb].name : "invalid";
}

static Verb verb_from_string(const char *s)
{
        for (Verb v = 0; v < _VERB_MAX; v++) {
                if (streq(verbs[v].name, s)) {
                        return v;
                }
        }
        return _VERB_INVALID;
}

bool overrides_any(const BootOverrides *o)
{
        return o->new_cluster || o->new_keys || o->force_detach || o->takeover || o->format_volume;
}

static int args_refuse(Error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int args_refuse(Error *err, const char *format, ...)
{
        char text[256];
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        return error_set(err, ERROR_CONFIG, EINVAL, "%s (see kube-bootstrap --help)", text);
}

static int take_option(OptionId id, const char *value, Arguments *ret, Error *err)
{
        bool *const flags[_OPTION_MAX] = {
                [OPTION_VERBOSE] = &ret->verbose,
                [OPTION_NO_FOLLOW] = &ret->no_follow,
                [OPTION_RESIDENT] = &ret->resident,
                [OPTION_NEW_CLUSTER] = &ret->overrides.new_cluster,
                [OPTION_NEW_KEYS] = &ret->overrides.new_keys,
                [OPTION_FORCE_DETACH] = &ret->overrides.force_detach,
                [OPTION_TAKEOVER] = &ret->overrides.takeover,
                [OPTION_FORMAT_VOLUME] = &ret->overrides.format_volume,
                [OPTION_JSON] = &ret->json,
                [OPTION_WAIT] = &ret->wait,
                [OPTION_FOLLOW] = &ret->follow,
        };
        if (flags[id]) {
                *flags[id] = true;
        }
        if (id == OPTION_FROM) {
                int step = step_find(boot_steps, _BOOT_STEP_MAX, value);
                if (step < 0) {
                        return args_refuse(err, "there is no step \"%.64s\"", value);
                }
                ret->force = STEP_MASK(step);
        }
        uint64_t seconds = 0;
        if (id == OPTION_WAIT && value &&
            (string_parse_u64(value, 31536000, &seconds) < 0 || seconds == 0)) {
                return args_refuse(err, "--wait=%.64s: expected seconds, 1 to 31536000", value);
        }
        ret->wait_s = id == OPTION_WAIT ? (unsigned) seconds : ret->wait_s;
        return 0;
}

/* Returns the has_arg of getopt_long(3) for an option with this `argument` in the table. */
static int has_argument(const char *argument)
{
        if (!argument) {
                return no_argument;
        }
        return argument[0] == '[' ? optional_argument : required_argument;
}

static void long_options(struct option ret[_OPTION_MAX + 1])
{
        for (OptionId id = 0; id < _OPTION_MAX; id++) {
                ret[id] = (struct option) { .name = cli_options[id].name,
                                            .has_arg = has_argument(cli_options[id].argument),
                                            .val = 256 + (int) id };
        }
        ret[_OPTION_MAX] = (struct option) {};
}

/* Parses the options into *ret, and sets in *ret_given the bits of those that were given. */
static int parse_options(int argc, char *const *argv, Arguments *ret, unsigned *ret_given,
                         Error *err)
{
        struct option list[_OPTION_MAX + 1];
        long_options(list);
        optind = 0; /* glibc: start again, as tests parse more than once */
        opterr = 0;
        for (;;) {
                int c = getopt_long(argc, argv, ":h", list, NULL);
                if (c < 0) {
                        return 0;
                }
                const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
                if (c == ':') {
                        return args_refuse(err, "%.64s needs a value", word);
                }
                if (c == '?') {
                        return args_refuse(err, "%.64s is no option, or takes no value", word);
                }
                OptionId id = c == 'h' ? OPTION_HELP : (OptionId) (c - 256);
                *ret_given |= 1u << id;
                int r = take_option(id, optarg, ret, err);
                if (r < 0) {
                        return r;
                }
        }
}

static int check_fit(const Arguments *a, unsigned given, Error *err)
{
        for (OptionId id = 0; id < _OPTION_MAX; id++) {
                if ((given & (1u << id)) && !(cli_options[id].verbs & BIT(a->verb))) {
                        return args_refuse(err, "--%s is not for \"%s\"", cli_options[id].name,
                                           verb_to_string(a->verb));
                }
        }
        if (a->resident && (a->force || a->no_follow || overrides_any(&a->overrides))) {
                return args_refuse(err,
                                   "--resident is for the service; it goes with no other option");
        }
        if (a->json && a->follow) {
                return args_refuse(err, "--json and --follow do not go together");
        }
        return 0;
}

int arguments_parse(int argc, char *const *argv, Arguments *ret, Error *err)
{
        Arguments a = { .verb = VERB_RUN };
        unsigned given = 0;
        int r = parse_options(argc, argv, &a, &given, err);
        if (r < 0) {
                return r;
        }
        if (optind < argc) {
                const char *word = argv[optind++];
                a.verb = verb_from_string(word);
                if (a.verb < 0) {
                        return args_refuse(err, "there is no verb \"%.64s\"", word);
                }
        }
        if (optind < argc && a.verb == VERB_CHECK_CONFIG) {
                a.file = argv[optind++];
        }
        if (optind < argc) {
                return args_refuse(err, "\"%.64s\" is one argument too many", argv[optind]);
        }
        if (given & (1u << OPTION_HELP)) {
                a.verb = VERB_HELP;
        } else if (given & (1u << OPTION_VERSION)) {
                a.verb = VERB_VERSION;
        }
        if (a.verb != VERB_HELP && a.verb != VERB_VERSION) {
                r = check_fit(&a, given, err);
                if (r < 0) {
                        return r;
                }
        }
        *ret = a;
        return 0;
}

static void option_print(FILE *out, const Option *option)
{
        char text[64];
        const char *a = option->argument;
        if (!a) {
                (void) snprintf(text, sizeof(text), "--%s", option->name);
        } else if (a[0] == '[') {
                (void) snprintf(text, sizeof(text), "--%s[=%s", option->name, a + 1);
        } else {
                (void) snprintf(text, sizeof(text), "--%s=%s", option->name, a);
        }
        (void) fprintf(out, "      %-20s %s\n", text, option->help);
}

void help_print(FILE *out)
{
        (void) fprintf(out,
                       "kube-bootstrap [VERB] [OPTION…]\n\n"
                       "Makes this instance the Kubernetes master or a node, as " STACK_CONFIG_PATH
                       " says.\n");
        for (Verb v = 0; v < _VERB_MAX; v++) {
                (void) fprintf(out, "\n  %s%s\n      %s\n", verbs[v].name, verbs[v].argument,
                               verbs[v].help);
                FOREACH_ARRAY(option, cli_options, cli_n_options) {
                        if ((option->verbs & BIT(v)) && option->verbs != BIT(_VERB_MAX) - 1) {
                                option_print(out, option);
                        }
                }
        }
        (void) fprintf(
                out,
                "\nExit status: 0 ready or done, 1 failed, 2 still converging, or a plan with\n"
                "something to do, 3 degraded, 4 another run holds the lock, 64 usage,\n"
                "65 unsafe to go on, 75 temporary, 77 denied, 78 configuration. More in\n"
                "kube-bootstrap(8).\n");
}
