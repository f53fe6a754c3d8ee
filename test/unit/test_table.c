/* SPDX-License-Identifier: Apache-2.0 */
/* THE table, and what is to agree with it. */
#include <stdlib.h>

#include "base/file.h"
#include "harness.h"
#include "steps/boot.h"
#include "steps/services/service.h"

static const struct {
        BootKind kind;
        const char *name;
} kinds[] = {
        { KIND_DOCKER_MASTER, "master with docker" },
        { KIND_DOCKER_NODE, "node with docker" },
        { KIND_CONTAINERD_MASTER, "master with containerd" },
        { KIND_CONTAINERD_NODE, "node with containerd" },
};

static void test_sound(void)
{
        Error error = {};
        CHECK_OK(step_table_check(boot_steps, _BOOT_STEP_MAX, KIND_ALL, &error), error);
        CHECK(_BOOT_STEP_MAX <= STEPS_MAX);
}

/* All that the step needs, and what that needs. */
static uint64_t all_needs(BootStep id, unsigned kind)
{
        uint64_t runs = steps_of(boot_steps, _BOOT_STEP_MAX, kind);
        uint64_t needs = boot_steps[id].needs & runs, before = 0;
        while (needs != before) {
                before = needs;
                for (BootStep i = 0; i < _BOOT_STEP_MAX; i++) {
                        if (needs & STEP_MASK(i)) {
                                needs |= boot_steps[i].needs & runs;
                        }
                }
        }
        return needs;
}

/* Read from top to bottom, the table is a boot. */
static void test_order(void)
{
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                if (boot_steps[id].needs >> id) {
                        test_fail(__FILE__, __LINE__, "%s needs what stands below it",
                                  boot_steps[id].name);
                }
        }
}

static void test_every_kind_ends_at_ready(void)
{
        FOREACH_ARRAY(k, kinds, ELEMENTS(kinds)) {
                uint64_t needs = all_needs(BOOT_READY, k->kind);
                for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                        if (id != BOOT_READY && (boot_steps[id].runs_on & k->kind) &&
                            !(needs & STEP_MASK(id))) {
                                test_fail(__FILE__, __LINE__, "%s of a %s: ready does not need it",
                                          boot_steps[id].name, k->name);
                        }
                }
        }
}

/* Without the volume there is no master: nothing that moves an address or touches data comes first.
 */
static void test_fencing(void)
{
        const BootStep fenced[] = { BOOT_VOLUME_FORMAT, BOOT_VOLUME_MOUNT,   BOOT_ELASTIC_IP,
                                    BOOT_PRIVATE_IP,    BOOT_FLANNEL_CONFIG, BOOT_ETCD,
                                    BOOT_SECRETS };
        static const unsigned masters[] = { KIND_DOCKER_MASTER, KIND_CONTAINERD_MASTER };
        FOREACH_ARRAY(id, fenced, ELEMENTS(fenced)) {
                FOREACH_ARRAY(kind, masters, ELEMENTS(masters)) {
                        CHECK(!(boot_steps[*id].runs_on & *kind) ||
                              all_needs(*id, *kind) & STEP_MASK(BOOT_VOLUME_ATTACH));
                }
        }
        /* a wrong volume may be blank: what shows is that the bucket is another's */
        const BootStep proven[] = { BOOT_ELASTIC_IP, BOOT_PRIVATE_IP, BOOT_ETCD };
        FOREACH_ARRAY(id, proven, ELEMENTS(proven)) {
                FOREACH_ARRAY(kind, masters, ELEMENTS(masters)) {
                        CHECK(all_needs(*id, *kind) & STEP_MASK(BOOT_SECRETS));
                }
                CHECK(boot_steps[*id].reprobe_s > 0); /* may be taken by who lost the volume */
        }
}

static void test_beginning(void)
{
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                FOREACH_ARRAY(k, kinds, ELEMENTS(kinds)) { /* nothing moves before it is read */
                        bool needs_config = all_needs(id, k->kind) & STEP_MASK(BOOT_CONFIG);
                        CHECK(needs_config == (id != BOOT_CONFIG) ||
                              !(boot_steps[id].runs_on & k->kind));
                }
        }
        CHECK_INT(boot_steps[BOOT_CONFIG].runs_on, KIND_ALL);
}

static void test_destroyers(void)
{
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                CHECK(boot_steps[id].destroys_data == (id == BOOT_VOLUME_FORMAT));
                CHECK(boot_steps[id].denial_is_warning == (id == BOOT_SOURCE_DEST_CHECK));
        }
}

/* A unit has at most one step on each kind of machine, else each would undo what the other did. */
static void test_units_of_steps(void)
{
        FOREACH_ARRAY(service, services, SERVICES_MAX) {
                unsigned runs_on = 0;
                for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                        if (service->steps & STEP_MASK(id)) {
                                CHECK(!(runs_on & boot_steps[id].runs_on));
                                runs_on |= boot_steps[id].runs_on;
                        }
                }
                CHECK(runs_on != 0);
        }
}

/* What makes a machine ready is looked at again. */
static void test_looked_at_again(void)
{
        static const struct {
                BootStep id;
                const char *why_not;
        } not [] = {
                { BOOT_CONFIG, "read on a reload: a person may be half way through an edit" },
                { BOOT_IDENTITY, "a machine that runs keeps it" },
                { BOOT_VOLUME_FORMAT, "volume-mount sees which filesystem is mounted" },
        };
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                bool excused = false;
                FOREACH_ARRAY(row, not, ELEMENTS(not )) {
                        excused = excused || row->id == id;
                }
                if (excused == (boot_steps[id].reprobe_s > 0)) {
                        test_fail(__FILE__, __LINE__, "%s: an interval of %u s, %s",
                                  boot_steps[id].name, boot_steps[id].reprobe_s,
                                  excused ? "against its reason" : "and no reason");
                }
        }
}

/* What a file says, without a roff source's escapes. */
static char *load(const char *path)
{
        Buffer text = {};
        Error error = {};
        if (file_read(path, 1 << 20, &text, &error) < 0) {
                test_fail(__FILE__, __LINE__, "%s", error.message);
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

/* As the manual page says it. */
static const char *who_runs(unsigned runs_on)
{
        switch (runs_on) {
        case KIND_ALL:
                return "";
        case KIND_MASTER:
                return " \" (master)\"";
        case KIND_DOCKER:
                return " \" (docker)\"";
        case KIND_MASTER &KIND_DOCKER:
                return " \" (master, docker)\"";
        case KIND_CONTAINERD:
                return " \" (containerd)\"";
        default:
                return " of kinds that the manual page has no word for";
        }
}

static void test_manual(void)
{
        _cleanup_free_ char *manual = load("bootstrap/man/kube-bootstrap.8");
        REQUIRE(manual);
        const char *at = strstr(manual, ".SH STEPS"), *end = strstr(manual, ".SH EXIT STATUS");
        REQUIRE(at && end);
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) { /* in the table's order */
                const char *who = who_runs(boot_steps[id].runs_on);
                _cleanup_free_ char *text =
                        string_format("\n.TP\n%s %s%s\n%s\n", *who ? ".BR" : ".B",
                                      boot_steps[id].name, who, boot_steps[id].makes_true);
                const char *found = text ? strstr(at, text) : NULL;
                if (!found || found > end) {
                        test_fail(__FILE__, __LINE__, "the manual page lacks, here:%s", text);
                        continue;
                }
                at = found + strlen(text) - 1;
        }
        CHECK(strstr(at, "\n.TP\n") > end); /* and no step that the table does not have */
}

/* bootstrap/README.md tells where each step lives, in the table's order. */
static void test_readme(void)
{
        _cleanup_free_ char *readme = load("bootstrap/README.md");
        REQUIRE(readme);
        const char *at = readme;
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                char path[128] = "bootstrap/", function[64];
                _cleanup_free_ char *begin = string_format("\n| `%s` | `", boot_steps[id].name);
                const char *found = begin ? strstr(at, begin) : NULL;
                if (!found || sscanf(found + strlen(begin), "%100[^`]", path + strlen(path)) != 1) {
                        test_fail(__FILE__, __LINE__, "no line of %s, here", boot_steps[id].name);
                        continue;
                }
                at = found + 1;
                (void) snprintf(function, sizeof(function), "\nint %s_probe(", boot_steps[id].name);
                for (char *c = function + strlen("\nint "); *c; c++) {
                        *c = (char) (*c == '-' ? '_' : *c);
                }
                _cleanup_free_ char *source = load(path);
                if (!source || !strstr(source, function)) {
                        test_fail(__FILE__, __LINE__, "%s does not hold %s", path,
                                  boot_steps[id].name);
                }
        }
}

/* Counts a name that stands by itself in the n characters. */
static unsigned count_name(const char *text, size_t n, const char *name)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";
        unsigned count = 0;
        for (const char *at = strstr(text, name); at && at < text + n; at = strstr(at + 1, name)) {
                char before = at > text ? at[-1] : ' ', after = at[strlen(name)];
                count += !strchr(letters, before) && !strchr(letters, after);
        }
        return count;
}

/* The picture of a boot in the README, which is one with containerd, has each step, once for each
 * role that runs it. */
static void test_picture(void)
{
        _cleanup_free_ char *readme = load("README.md");
        REQUIRE(readme);
        const char *picture = strstr(readme, "## A boot\n"),
                   *end = strstr(readme, "\ndocker-bootstrap is");
        REQUIRE(picture && end && picture < end);
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                unsigned expected = !!(boot_steps[id].runs_on & KIND_CONTAINERD_MASTER) +
                                    !!(boot_steps[id].runs_on & KIND_CONTAINERD_NODE);
                unsigned found = count_name(picture, (size_t) (end - picture), boot_steps[id].name);
                if (found != expected) {
                        test_fail(__FILE__, __LINE__, "%s stands there %u times, expected %u",
                                  boot_steps[id].name, found, expected);
                }
        }
}

int main(void)
{
        test_case("the table is sound", test_sound);
        test_case("each row stands after what it needs", test_order);
        test_case("every kind of machine ends at ready, and needs all it runs",
                  test_every_kind_ends_at_ready);
        test_case("a master's steps come after its volume", test_fencing);
        test_case("nothing comes before the configuration", test_beginning);
        test_case("one row destroys data, one takes a denial as a warning", test_destroyers);
        test_case("a unit has one step on each kind of machine", test_units_of_steps);
        test_case("each step is looked at again, or there is a reason", test_looked_at_again);
        test_case("the manual page lists the steps", test_manual);
        test_case("the README tells where each step lives", test_readme);
        test_case("the picture of a boot is the table's", test_picture);
        return test_done();
}
