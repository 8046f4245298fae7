/* SPDX-License-Identifier: Apache-2.0 */
/* Release of memory that the hosted library handed to the caller. */
#ifndef INSITU_MEMORY_H
#define INSITU_MEMORY_H

#ifdef __cplusplus
extern "C" {
#endif

/* Frees what a function documented as "free with isg_free()" returned; NULL is fine. */
void isg_free(void *p);

#ifdef __cplusplus
}
#endif
#endif
