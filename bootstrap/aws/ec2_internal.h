/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Parsers of EC2's replies: pure functions over the parsed XML. A value that does not fit its
 * member of the struct is an error (a role tag is left empty), and is never cut. */

#include "aws/ec2.h"
#include "aws/xml.h"
#include "base/error.h"

int ec2_parse_volume(const XmlNode *root, const char *volume_id, Ec2Volume *ret, Error *err);

/* Returns 1, or 0 if the reply holds no instance. */
int ec2_parse_instance_state(const XmlNode *root, char ret[24], Error *err);

/* Fills ret[i] for names[i]. A reply that has a further page is an error. */
int ec2_parse_named_instances(const XmlNode *root, const char *const *names, size_t n,
                              Ec2Instance *ret, Error *err);

/* Fills ret in the order of eni_ids. An interface missing from the reply is an error. */
int ec2_parse_interfaces(const XmlNode *root, const char *const *eni_ids, size_t n,
                         Ec2Interface *ret, Error *err);

/* Reads the first interface. Returns 1, or 0 if there is none. */
int ec2_parse_first_interface(const XmlNode *root, Ec2Interface *ret, Error *err);

int ec2_parse_address(const XmlNode *root, const char *allocation_id, Ec2Address *ret, Error *err);

/* A change that EC2 reports as not done ("<return>false</return>") is ERROR_RETRY. */
int ec2_parse_return(const XmlNode *root, Error *err);
