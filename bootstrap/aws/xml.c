/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/xml.h"

#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/string.h"

#define DEPTH_MAX    32
#define ELEMENTS_MAX 100000
#define BYTES_MAX    ((size_t) 4 << 20)

DEFINE_CLEANUP(XML_Parser, XML_ParserFree);

/* One element that is still open. */
typedef struct Level {
        XmlNode *node;
        XmlNode *last_child;
        Buffer text;
} Level;

typedef struct Tree {
        XML_Parser parser;
        XmlNode *root;
        Level levels[DEPTH_MAX];
        size_t depth;
        size_t n_elements;
        int error;
        const char *reason;
} Tree;

static void stop(Tree *tree, int error, const char *reason)
{
        if (!tree->error) {
                tree->error = error;
                tree->reason = reason;
        }
        (void) XML_StopParser(tree->parser, XML_FALSE); /* fails only when stopped already */
}

static const char *local_name(const char *name)
{
        const char *colon = strrchr(name, ':');
        return colon ? colon + 1 : name;
}

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
        Tree *tree = data;
        (void) attributes;
        if (tree->error) {
                return;
        }
        if (tree->depth == DEPTH_MAX || tree->n_elements == ELEMENTS_MAX) {
                return stop(tree, E2BIG, "too deep or too many elements");
        }
        XmlNode *node = calloc(1, sizeof(*node));
        char *copy = strdup(local_name(name));
        if (!node || !copy) {
                free(node);
                free(copy);
                return stop(tree, ENOMEM, "out of memory");
        }
        node->name = copy;

        if (tree->depth == 0) {
                tree->root = node;
        } else {
                Level *parent = &tree->levels[tree->depth - 1];
                if (parent->last_child) {
                        parent->last_child->next = node;
                } else {
                        parent->node->first_child = node;
                }
                parent->last_child = node;
        }
        tree->levels[tree->depth++] = (Level) { .node = node };
        tree->n_elements++;
}

static void on_text(void *data, const XML_Char *text, int n)
{
        Tree *tree = data;
        if (tree->error || tree->depth == 0) {
                return;
        }
        if (buffer_append(&tree->levels[tree->depth - 1].text, text, (size_t) n) < 0) {
                stop(tree, ENOMEM, "out of memory");
        }
}

static void on_end(void *data, const XML_Char *name)
{
        Tree *tree = data;
        (void) name;
        if (tree->error) {
                return;
        }
        Level *level = &tree->levels[--tree->depth];
        XmlNode *node = level->node;
        node->text = level->text.data ? buffer_take(&level->text) : strdup("");
        if (!node->text) {
                return stop(tree, ENOMEM, "out of memory");
        }
        if (node->first_child) {
                size_t blanks = strspn(node->text, " \t\r\n");
                memmove(node->text, node->text + blanks, strlen(node->text + blanks) + 1);
                (void) string_strip_end(node->text);
        }
}

static void on_doctype(void *data, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_internal_subset)
{
        (void) name;
        (void) system_id;
        (void) public_id;
        (void) has_internal_subset;
        stop(data, EBADMSG, "a DOCTYPE is not accepted");
}

static int xml_error(const Tree *tree, Error *err)
{
        enum XML_Error code = XML_GetErrorCode(tree->parser);
        if (tree->error == ENOMEM || (!tree->error && code == XML_ERROR_NO_MEMORY)) {
                return error_oom(err);
        }
        int error = tree->error ? tree->error : EBADMSG;
        const char *reason = tree->error ? tree->reason : XML_ErrorString(code);
        /* AWS did not send this, but something on the way: the next attempt may succeed. */
        return error_set(err, ERROR_RETRY, error, "reply is no acceptable XML: line %lu: %s",
                         (unsigned long) XML_GetCurrentLineNumber(tree->parser), reason);
}

int xml_parse(const char *text, size_t n, XmlNode **ret, Error *err)
{
        if (n > BYTES_MAX) {
                return error_set(err, ERROR_RETRY, EFBIG, "XML reply of %zu bytes", n);
        }
        _cleanup_(XML_ParserFreep) XML_Parser parser = XML_ParserCreate("UTF-8");
        if (!parser) {
                return error_oom(err);
        }
        Tree tree = { .parser = parser };
        XML_SetUserData(parser, &tree);
        XML_SetElementHandler(parser, on_start, on_end);
        XML_SetCharacterDataHandler(parser, on_text);
        XML_SetStartDoctypeDeclHandler(parser, on_doctype);

        if (XML_Parse(parser, text, (int) n, XML_TRUE) == XML_STATUS_OK && !tree.error) {
                *ret = tree.root;
                return 0;
        }
        int r = xml_error(&tree, err);
        while (tree.depth > 0) {
                buffer_done(&tree.levels[--tree.depth].text);
        }
        xml_free(tree.root);
        return r;
}

void xml_free(XmlNode *node)
{
        while (node) {
                XmlNode *next = node->next;
                xml_free(node->first_child); /* as deep as DEPTH_MAX at most */
                free(node->name);
                free(node->text);
                free(node);
                node = next;
        }
}

const XmlNode *xml_find(const XmlNode *node, const char *path)
{
        size_t length = strcspn(path, "/");
        for (const XmlNode *child = node ? node->first_child : NULL; child; child = child->next) {
                if (strncmp(child->name, path, length) != 0 || child->name[length]) {
                        continue;
                }
                const XmlNode *found = path[length] ? xml_find(child, path + length + 1) : child;
                if (found) {
                        return found;
                }
        }
        return NULL;
}

const char *xml_text(const XmlNode *node, const char *path)
{
        const XmlNode *found = xml_find(node, path);
        return found ? found->text : "";
}
