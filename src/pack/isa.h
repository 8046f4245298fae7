/* SPDX-License-Identifier: Apache-2.0 */
/* The limit that the environment sets to the instructions used. */
#ifndef INSITU_PACK_ISA_H
#define INSITU_PACK_ISA_H

#include <insitu/status.h>
#include <stdint.h>

/* What INSITU_ISA allows; everything when it is not set. Errors: ARG for a word that is no instruction set. */
isg_status isgi_isa_from_environment(uint32_t *mask, isg_error *err);

#endif
