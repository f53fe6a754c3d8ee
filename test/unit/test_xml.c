/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/xml.h"

#include <errno.h>

#include "harness.h"

static int parse(const char *text, XmlNode **ret, Error *err)
{
        return xml_parse(text, strlen(text), ret, err);
}

static void test_tree(void)
{
        Error err = {};
        _cleanup_xml_ XmlNode *root = NULL;
        CHECK_OK(parse("<?xml version=\"1.0\"?>\n<r xmlns='urn:x' xmlns:p='urn:y'>\n <a>1</a>"
                       "<p:b c='2'> x &amp; y </p:b>\n t <s><i><k>v</k></i></s><e/></r>",
                       &root, &err),
                 err);
        REQUIRE(root);
        CHECK_STR(root->name, "r");
        CHECK_STR(root->text, "t"); /* between children: white space cut */
        CHECK_STR(xml_text(root, "a"), "1");
        CHECK_STR(xml_text(root, "b"), " x & y "); /* its own text: as it is */
        CHECK_STR(xml_text(root, "s/i/k"), "v");
        CHECK_STR(xml_text(root, "e"), "");
        CHECK_STR(xml_text(root, "none"), "");
        CHECK_STR(xml_text(root, "s/i/none"), "");
        CHECK_STR(xml_text(NULL, "a"), "");
        CHECK(!xml_find(root, "k"));
}

/* The path is tried on all who bear the name, not on the first alone. */
static void test_find_backtracks(void)
{
        Error err = {};
        _cleanup_xml_ XmlNode *root = NULL;
        CHECK_OK(parse("<r><s/><s><i>1</i></s><si>2</si></r>", &root, &err), err);
        CHECK_STR(xml_text(root, "s/i"), "1");
        CHECK_STR(xml_text(root, "si"), "2");
        CHECK_STR(xml_text(root, "s"), "");
}

static void test_refusals(void)
{
        static const struct {
                const char *text;
                int error;
                const char *message;
        } cases[] = {
                { "", EBADMSG, "no element" },
                { "<a>", EBADMSG, "no element" },
                { "<a></b>", EBADMSG, "line 1" },
                { "<a/><b/>", EBADMSG, "junk" },
                { "not xml", EBADMSG, "line 1" },
                { "{\"a\":1}", EBADMSG, "line 1" },
                { "<!DOCTYPE html><html/>", EBADMSG, "DOCTYPE" },
                { "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", EBADMSG, "DOCTYPE" },
                { "<a>\xff\xfe</a>", EBADMSG, "line 1" },
                { "<a>&nbsp;</a>", EBADMSG, "line 1" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                XmlNode *root = NULL;
                CHECK_INT(parse(c->text, &root, &err), -c->error);
                CHECK_INT(err.class, ERROR_RETRY);
                CHECK_CONTAINS(err.message, c->message);
                CHECK(!root);
        }
}

static void append(Buffer *b, const char *text, size_t times)
{
        while (times-- > 0) {
                if (buffer_append_string(b, text) < 0) {
                        abort();
                }
        }
}

static void check_limit(const Buffer *text, int expected)
{
        Error err = {};
        _cleanup_xml_ XmlNode *root = NULL;
        CHECK_INT(xml_parse(text->data, text->size, &root, &err), expected);
        CHECK(!root == (expected < 0));
}

static void test_limits(void)
{
        for (size_t depth = 32; depth <= 33; depth++) {
                _cleanup_buffer_ Buffer text = {};
                append(&text, "<a>", depth);
                append(&text, "</a>", depth);
                check_limit(&text, depth == 32 ? 0 : -E2BIG);
        }
        for (size_t n = 99999; n <= 100000; n++) { /* and the root */
                _cleanup_buffer_ Buffer text = {};
                append(&text, "<r>", 1);
                append(&text, "<a/>", n);
                append(&text, "</r>", 1);
                check_limit(&text, n == 99999 ? 0 : -E2BIG);
        }
        _cleanup_buffer_ Buffer text = {};
        append(&text, "<a>", 1);
        append(&text, "0123456789abcdef", 4 << 16);
        append(&text, "</a>", 1);
        check_limit(&text, -EFBIG);
}

int main(void)
{
        test_case("a tree of names and texts", test_tree);
        test_case("a path finds the first descendant that has all of it", test_find_backtracks);
        test_case("what is no XML, or has a DOCTYPE, is refused", test_refusals);
        test_case("depth, elements and bytes are bounded", test_limits);
        return test_done();
}
