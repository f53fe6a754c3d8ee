/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The syntax of the instance metadata service's values: pure functions over outside bytes. */

#include <stdbool.h>
#include <stddef.h>

#include "aws/imds.h"
#include "aws/keys.h"
#include "base/error.h"

/* Returns true if a body is a web page or other markup: something other than IMDS answered. */
bool imds_is_markup(const char *body, size_t n);

/* Copies printable ASCII without white space, at least one character, at most size - 1. Returns
 * false for any other text. */
bool imds_copy_word(const char *text, size_t n, char *ret, size_t size);

bool imds_is_instance_id(const char *s);
bool imds_is_interface_id(const char *s);
bool imds_is_mac(const char *s);
bool imds_is_ipv4(const char *s);
bool imds_is_ipv4_cidr(const char *s);
bool imds_is_zone_of(const char *zone, const char *region);
bool imds_is_host_name(const char *s);
bool imds_is_role_name(const char *s);

/* Parses network/interfaces/macs/, one "0a:…:/" a line. Fills only the mac of each interface. */
int imds_parse_macs(const char *text, size_t n, ImdsInterface ret[IMDS_INTERFACES_MAX],
                    size_t *ret_n, Error *err);

/* Parses vpc-ipv4-cidr-blocks: one network a line. */
int imds_parse_networks(const char *text, size_t n, Network ret[IMDS_VPC_NETWORKS_MAX],
                        size_t *ret_n, Error *err);

/* Parses dynamic/instance-identity/document for its accountId, which must be twelve digits. */
int imds_parse_account(const char *text, size_t n, char ret[IMDS_ACCOUNT_MAX], Error *err);

/* Parses iam/security-credentials/ROLE. A document whose Code is not Success is ERROR_CONFIG, and
 * the message has that Code. *ret must be zero. */
int imds_parse_credentials(const char *text, size_t n, AwsKeys *ret, Error *err);
