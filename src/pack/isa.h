/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions that the environment asks for. */
#ifndef INSITU_PACK_ISA_H
#define INSITU_PACK_ISA_H

#include <insitu/rt.h>

/* What INSITU_ISA allows, where *mask is ISG_ISA_ALL and the variable is set; else it stays. Errors: ARG for a word
 * that is no instruction set, or one that this CPU lacks. */
isg_status isgi_isa_from_environment(uint32_t *mask, isg_error *err);
/* The options given, or the defaults where that is NULL, with isa_mask from the environment. */
isg_status isgi_session_options(isg_rt_options *o, const isg_rt_options *given, isg_error *err);

#endif
