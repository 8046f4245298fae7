/* SPDX-License-Identifier: Apache-2.0 */
/* Opens training devices by name. */
#include "train/device.h"

#include "base/error.h"
#include "host/alloc.h"
#include "host/module.h"
#include "train/device_kernels.h"

#include <string.h>

#define MODULE "insitu-cuda.so"

isg_status isgi_device_open(isgi_device **out, const char *name, isg_error *err)
{
    union {
        void *p;
        isg_status (*fn)(isgi_device **out, int number, uint32_t version, isg_error *err);
    } open_cuda;
    int number = 0;
    char shown[64];
    if (!strcmp(name, "reference")) return isgi_device_open_reference(out, err);
    if (!strncmp(name, "cuda:", 5) && name[5] >= '0' && name[5] <= '9' && !name[6]) {
        number = name[5] - '0';
    } else if (strcmp(name, "cuda") != 0) {
        return isgi_fail(err, ISG_E_ARG, "no device is called %s; known are cpu, cuda, cuda:N, reference",
                         isgi_escape(shown, sizeof shown, name));
    }
    open_cuda.p = isgi_module_symbol(MODULE, "isgi_device_cuda_open");
    if (!open_cuda.p) {
        return isgi_fail(err, ISG_E_UNSUPPORTED, "this build has no CUDA, or its libraries are missing (" MODULE ")");
    }
    return open_cuda.fn(out, number, ISGI_DEVICE_VERSION, err);
}
