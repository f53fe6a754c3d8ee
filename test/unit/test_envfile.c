/* SPDX-License-Identifier: Apache-2.0 */
#include "config/envfile.h"
#include "harness.h"

static void parse_accepts(void)
{
        static const struct {
                const char *text, *key, *value;
        } cases[] = {
                { "A=1\n", "A", "1" },
                { "A=1", "A", "1" },
                { "export A=1", "A", "1" },
                { "  export\tA=1 B=2 # both\n", "B", "2" },
                { "A=\n", "A", "" },
                { "A='x $(reboot) `y`'\n", "A", "x $(reboot) `y`" },
                { "A=\"x y\"z'w'\n", "A", "x yzw" },
                { "A=\"\\$x \\\" \\\\ \\n\"", "A", "$x \" \\ \\n" },
                { "A=a\\ b", "A", "a b" },
                { "A=1\nB=${A}2$A\n", "B", "121" },
                { "A=1\nA=\"${A}2\"\n", "A", "12" },
                { "A='two\nlines'\n", "A", "two\nlines" },
                { "A=1\\\n2\n", "A", "12" },
                { "A=a#b\n", "A", "a#b" },
                { "# A=2\nA=1 # B\n", "A", "1" },
                { "A=1\nexport A\n", "A", "1" },
                { "\xef\xbb\xbf# mark\nA=1\n", "A", "1" },
                { "\xef\xbb\xbf"
                  "A=1\n",
                  "A", "1" },
                { "A=gr\xc3\xbc\xc3\x9f\n", "A", "gr\xc3\xbc\xc3\x9f" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_envfile_ EnvFile file = {};
                Error err = {};
                CHECK_OK(envfile_parse("f", c->text, strlen(c->text), &file, &err), err);
                const EnvEntry *e = envfile_get(&file, c->key);
                CHECK_STR(e ? e->value : NULL, c->value);
        }
}

static void parse_refuses_with_place(void)
{
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "A=$(reboot)\n", "f:1:3: command substitution" },
                { "A=\"x$(reboot)\"\n", "f:1:5: command substitution" },
                { "A=1\nB=`id`\n", "f:2:3: command substitution" },
                { "A=\"`id`\"\n", "f:1:4: command substitution" },
                { "A=1; reboot\n", "f:1:4: a shell would run another command" },
                { "A=1 && reboot\n", "f:1:5: a shell would run another command" },
                { "reboot\n", "f:1:1: expected KEY=value" },
                { "A = 1\n", "f:1:1: expected KEY=value" },
                { "A=1 reboot\n", "f:1:5: expected KEY=value" },
                { "A=$B\n", "f:1:3: $B is not set earlier" },
                { "A=${B:-x}\n", "f:1:3: only ${NAME}" },
                { "A=1\nB=${A%x}\n", "f:2:3: only ${NAME}" },
                { "A=$$\n", "f:1:3: only $NAME" },
                { "A=$\n", "f:1:3: only $NAME" },
                { "A='x\n", "f:1:3: this ' is never closed" },
                { "A=\"x\n\n", "f:1:3: this \" is never closed" },
                { "A=~/x\n", "f:1:3: a shell would expand ~" },
                { "A=x>y\n", "f:1:4: a shell would redirect" },
                { "A=(1 2)\n", "f:1:3: a shell would start a subshell" },
                { "A=*\n", "f:1:3: a shell may expand" },
                { "A=1\r\n", "f:1:4: carriage return" },
                { "1A=1\n", "f:1:1: expected a name" },
                { "A=1\\", "f:1:5: a backslash" },
                { "A=1\n\xef\xbb\xbf"
                  "B=1\n",
                  "f:2:1: expected a name: letters, digits and _, not the byte 0xEF of a byte "
                  "order "
                  "mark" },
                { "\xc2\xa0"
                  "A=1\n",
                  "f:1:1: expected a name: letters, digits and _, not the byte "
                  "0xC2" },
                { "\xef\xbb\xbf$A=1\n", "f:1:1: expected a name" },
                { "\xff\xfe"
                  "A\0=\0",
                  "f is UTF-16: save it as UTF-8" },
                { "\xfe\xff", "f is UTF-16" },
                { "<html>\n", "f:1:1: a shell would redirect" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_envfile_ EnvFile file = {};
                Error err = {};
                CHECK(envfile_parse("f", c->text, strlen(c->text), &file, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK_CONTAINS(err.message, c->message);
        }
}

static void parse_is_bounded(void)
{
        Error err = {};
        EnvFile file = {};
        _cleanup_buffer_ Buffer text = {};
        for (int i = 0; i <= ENVFILE_MAX_ENTRIES; i++) {
                CHECK(buffer_append_format(&text, "K%d=1\n", i) == 0);
        }
        CHECK(envfile_parse("f", text.data, text.size, &file, &err) < 0);
        CHECK_CONTAINS(err.message, "f:257:");
        CHECK_CONTAINS(err.message, "too many");
        CHECK_OK(envfile_parse("f", NULL, 0, &file, &err), err);
        CHECK_INT(file.n, 0);
        envfile_done(&file);
        CHECK(envfile_parse("f", "A=\0", 3, &file, &err) < 0);
        CHECK_CONTAINS(err.message, "NUL");
        CHECK(envfile_parse("f", text.data, ENVFILE_MAX_BYTES + 1, &file, &err) == -EFBIG);
}

int main(void)
{
        test_case("envfile: what sh takes literally is taken", parse_accepts);
        test_case("envfile: what sh would run is refused, with its place",
                  parse_refuses_with_place);
        test_case("envfile: sizes are bounded", parse_is_bounded);
        return test_done();
}
