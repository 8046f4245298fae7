/* SPDX-License-Identifier: Apache-2.0 */
/* Opening an image where there is room for words. */
#ifndef INSITU_PACK_IMAGE_H
#define INSITU_PACK_IMAGE_H

#include <insitu/rt.h>

/* isg_rt_open(), which says of another format version which one it is. */
ISG_NODISCARD isg_status isgi_image_open(isg_rt_model *rt, const void *image, size_t bytes, isg_error *err);

#endif
