/* SPDX-License-Identifier: Apache-2.0 */
/* units/kube-bootstrap.catalog against the message ids of base/log.h. Run from the tree's root. */
#include <stdlib.h>

#include "base/file.h"
#include "harness.h"

#define IDS_MAX 64

typedef struct Ids {
        char name[IDS_MAX][40], id[IDS_MAX][33];
        size_t n;
} Ids;

static char *load(const char *path)
{
        Buffer text = {};
        Error error = {};
        if (file_read(path, 1 << 20, &text, &error) < 0) {
                test_fail(__FILE__, __LINE__, "%s", error.message);
        }
        return text.data;
}

static bool find_one(const char *at, bool in_header, char name[40], char id[33])
{
        return in_header ? sscanf(at, "#define %39s \"%32[0-9a-f]\"", name, id) == 2
                         : sscanf(at, "\n# %39s\n-- %32[0-9a-f]", name, id) == 2;
}

static Ids find_all(const char *text, bool in_header)
{
        Ids ids = {};
        const char *begin = in_header ? "#define LOG_ID_" : "\n# LOG_ID_";
        for (const char *at = text; at && (at = strstr(at, begin)) && ids.n < IDS_MAX; at++) {
                ids.n += find_one(at, in_header, ids.name[ids.n], ids.id[ids.n]);
        }
        return ids;
}

static void test_each_has_an_entry(void)
{
        _cleanup_free_ char *header = load("bootstrap/base/log.h");
        _cleanup_free_ char *catalog = load("units/kube-bootstrap.catalog");
        REQUIRE(header && catalog);
        Ids defined = find_all(header, true);
        Ids explained = find_all(catalog, false);
        CHECK(defined.n > 5);
        CHECK_INT(explained.n, defined.n);
        for (size_t i = 0; i < defined.n && i < explained.n; i++) {
                CHECK_STR(explained.name[i], defined.name[i]);
                CHECK_STR(explained.id[i], defined.id[i]);
                CHECK_INT(strlen(explained.id[i]), 32);
                for (size_t j = 0; j < i; j++) {
                        CHECK(!streq(defined.id[i], defined.id[j]));
                }
        }
}

/* Every entry has a subject and says something, and its fields are fields that are logged. */
static void test_entries(void)
{
        _cleanup_free_ char *header = load("bootstrap/base/log.h");
        _cleanup_free_ char *catalog = load("units/kube-bootstrap.catalog");
        REQUIRE(header && catalog);
        for (char *entry = strstr(catalog, "\n-- "); entry;) {
                char *next = strstr(entry + 1, "\n-- ");
                if (next) {
                        *next = '\0';
                }
                CHECK_CONTAINS(entry, "\nSubject: ");
                CHECK_CONTAINS(entry, "\nDefined-By: kube-bootstrap\n");
                char *text = strstr(entry, "\n\n");
                CHECK(text && strlen(text) > 60);
                if (next) {
                        *next = '\n';
                }
                entry = next;
        }
        size_t n_fields = 0;
        for (const char *at = catalog; (at = strchr(at, '@')); n_fields++) {
                char field[40], quoted[48];
                REQUIRE(sscanf(at, "@%39[A-Z_]@", field) == 1);
                (void) snprintf(quoted, sizeof(quoted), "\"%s\"", field);
                CHECK_CONTAINS(header, quoted);
                at = strchr(at + 1, '@');
                REQUIRE(at);
                at++;
        }
        CHECK(n_fields > 3);
}

int main(void)
{
        test_case("each message id has its entry", test_each_has_an_entry);
        test_case("entries are whole", test_entries);
        return test_done();
}
