/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

/* AWS's XML as a small tree, by expat: element names without namespaces, text, no attributes.
 * Bounded: depth 32, 100000 elements, 4 MiB; a DOCTYPE is refused (no entities). */
typedef struct XmlNode {
        char *name;
        char *text; /* never NULL; white space at both ends cut where there are child elements */
        struct XmlNode *first_child;
        struct XmlNode *next;
} XmlNode;

int xml_parse(const char *text, size_t n, XmlNode **ret, Error *err);
void xml_free(XmlNode *node);
DEFINE_CLEANUP(XmlNode *, xml_free);
#define _cleanup_xml_ _cleanup_(xml_freep)

/* xml_find() returns the first descendant along a path of names below node ("Errors/Error/Code"),
 * or NULL. xml_text() returns its text ("" if absent). */
const XmlNode *xml_find(const XmlNode *node, const char *path);
const char *xml_text(const XmlNode *node, const char *path);
