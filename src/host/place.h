/* SPDX-License-Identifier: Apache-2.0 */
/* Where a path leads: the end of a chain of links, an open descriptor, something that cannot be replaced. */
#ifndef INSITU_HOST_PLACE_H
#define INSITU_HOST_PLACE_H

#include <insitu/status.h>

/* The path at the end of a chain of links, which need not exist, to be freed with isg_free(); `path` itself where it is
 * no link. Errors: IO (a circle), NOMEM. */
ISG_NODISCARD isg_status isgi_place_resolve(char **out, const char *path, isg_error *err);
/* The descriptor that a path names (/dev/stdout, /dev/stderr, /dev/fd/N, /proc/self/fd/N), or -1. */
int isgi_place_descriptor(const char *path);
/* Whether what is written there can only be added to: a descriptor, a pipe, a device. */
int isgi_place_is_stream(const char *path);

#endif
