/* SPDX-License-Identifier: Apache-2.0 */
/* What a path names, where it is no file that can be replaced. */
#ifndef INSITU_HOST_PLACE_H
#define INSITU_HOST_PLACE_H

/* Whether what is written there can only be added to: a descriptor, a pipe, a device. */
int isgi_place_is_stream(const char *path);
/* Whether it is a pipe or a socket that has a name: each writer that opens it waits for a reader. */
int isgi_place_is_pipe(const char *path);

#endif
