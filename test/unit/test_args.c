/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/file.h"
#include "cli/args.h"
#include "harness.h"

static Arguments arguments;
static Error error;

/* Words end with NULL. */
static int parse(const char *const *words)
{
        const char *argv[12] = { "kube-bootstrap" };
        int argc = 1;
        for (; words[argc - 1] && argc < 11; argc++) {
                argv[argc] = words[argc - 1];
        }
        error = (Error) {};
        return arguments_parse(argc, (char *const *) (uintptr_t) argv, &arguments, &error);
}

#define WORDS(...) ((const char *const[]) { __VA_ARGS__ __VA_OPT__(, ) NULL })

static void test_verbs(void)
{
        CHECK_OK(parse(WORDS(NULL)), error);
        CHECK_INT(arguments.verb, VERB_RUN);
        for (Verb v = 0; v < _VERB_MAX; v++) {
                CHECK_OK(parse(WORDS(verb_to_string(v))), error);
                CHECK_INT(arguments.verb, v);
        }
        CHECK_OK(parse(WORDS("-h")), error);
        CHECK_INT(arguments.verb, VERB_HELP);
        CHECK_OK(parse(WORDS("status", "--help")), error);
        CHECK_INT(arguments.verb, VERB_HELP);
        CHECK_OK(parse(WORDS("--version")), error);
        CHECK_INT(arguments.verb, VERB_VERSION);
}

static void test_options(void)
{
        CHECK_OK(parse(WORDS("run", "--from", "etcd", "--no-follow")), error);
        CHECK(arguments.force == STEP_MASK(BOOT_ETCD) && arguments.no_follow);
        CHECK_OK(parse(WORDS("--from=config")), error); /* without the verb */
        CHECK(arguments.force == STEP_MASK(BOOT_CONFIG) && !arguments.no_follow);
        CHECK_OK(parse(WORDS("--resident", "run")), error); /* before it */
        CHECK(arguments.resident);
        CHECK_OK(parse(WORDS("run", "--new-cluster", "--force-detach")), error);
        CHECK(arguments.overrides.new_cluster && arguments.overrides.force_detach);
        CHECK(!arguments.overrides.new_keys && !arguments.overrides.takeover);
        CHECK(overrides_any(&arguments.overrides));
        CHECK_OK(parse(WORDS("run", "--new-keys", "--takeover")), error);
        CHECK(arguments.overrides.new_keys && arguments.overrides.takeover);
        CHECK_OK(parse(WORDS("status", "--wait")), error);
        CHECK(arguments.wait && arguments.wait_s == 0 && !overrides_any(&arguments.overrides));
        CHECK_OK(parse(WORDS("status", "--wait=30", "--json")), error);
        CHECK(arguments.wait && arguments.wait_s == 30 && arguments.json);
        CHECK_OK(parse(WORDS("status", "--follow")), error);
        CHECK(arguments.follow);
        CHECK_OK(parse(WORDS("plan", "--verbose", "--json")), error);
        CHECK(arguments.verbose && arguments.json);
        CHECK_OK(parse(WORDS("check-config", "/some/file")), error);
        CHECK_STR(arguments.file, "/some/file");
}

static void test_refusals(void)
{
        const struct {
                const char *words[4];
                const char *message;
        } cases[] = {
                { { "dance" }, "no verb \"dance\"" },
                { { "" }, "no verb \"\"" },
                { { "--dance" }, "--dance is no option" },
                { { "-x" }, "-x is no option" },
                { { "run", "--from" }, "--from needs a value" },
                { { "run", "--from=dance" }, "no step \"dance\"" },
                { { "run", "--no-follow=yes" }, "--no-follow=yes is no option, or takes no value" },
                { { "run", "--json" }, "--json is not for \"run\"" },
                { { "plan", "--from=etcd" }, "--from is not for \"plan\"" },
                { { "status", "--takeover" }, "--takeover is not for \"status\"" },
                { { "status", "--verbose" }, "--verbose is not for \"status\"" },
                { { "status", "--wait=0" }, "--wait=0" },
                { { "status", "--wait=-1" }, "--wait=-1" },
                { { "status", "--wait=soon" }, "--wait=soon" },
                { { "status", "--wait", "5" }, "\"5\" is one argument too many" },
                { { "status", "--json", "--follow" }, "do not go together" },
                { { "run", "--resident", "--from=etcd" }, "--resident is for the service" },
                { { "run", "--resident", "--no-follow" }, "--resident is for the service" },
                { { "run", "--resident", "--new-keys" }, "--resident is for the service" },
                { { "check-config", "a", "b" }, "\"b\" is one argument too many" },
                { { "plan", "a" }, "\"a\" is one argument too many" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                if (parse(c->words) >= 0) {
                        test_fail(__FILE__, __LINE__, "accepted, expected: %s", c->message);
                        continue;
                }
                CHECK_CONTAINS(error.message, c->message);
        }
}

/* What a roff source says, without its escapes. */
static char *read_manual(void)
{
        Buffer text = {};
        Error err = {};
        if (file_read("bootstrap/man/kube-bootstrap.8", 1 << 20, &text, &err) < 0) {
                test_fail(__FILE__, __LINE__, "%s", err.message);
                return NULL;
        }
        char *to = text.data;
        for (const char *from = text.data; *from; from++) {
                if (*from != '\\') {
                        *to++ = *from;
                }
        }
        *to = '\0';
        return text.data;
}

static void test_help(void)
{
        _cleanup_free_ char *help = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&help, &size);
        REQUIRE(out);
        help_print(out);
        REQUIRE(fclose(out) == 0);
        _cleanup_free_ char *manual = read_manual();
        REQUIRE(manual);
        FOREACH_ARRAY(option, cli_options, cli_n_options) {
                _cleanup_free_ char *text = string_format("--%s", option->name);
                CHECK_CONTAINS(manual, text);
                if (!streq(option->name, "help") && !streq(option->name, "version")) {
                        CHECK_CONTAINS(help, text);
                        CHECK_CONTAINS(help, option->help);
                }
        }
        for (Verb v = 0; v < _VERB_MAX; v++) {
                _cleanup_free_ char *text = string_format("\n  %s", verb_to_string(v));
                CHECK_CONTAINS(help, text);
                CHECK_CONTAINS(manual, verb_to_string(v));
        }
        for (const char *line = help; *line;) { /* fits a terminal */
                size_t n = strcspn(line, "\n");
                CHECK(n <= 100);
                line += n + (line[n] == '\n');
        }
}

int main(void)
{
        test_case("verbs", test_verbs);
        test_case("options", test_options);
        test_case("what is wrong is named", test_refusals);
        test_case("--help and the manual page have every verb and option", test_help);
        return test_done();
}
