# SPDX-License-Identifier: Apache-2.0
# The helper of tests/peer/compare.sh: our side of the comparison with ONNX Runtime.
add_executable(insitu-peer ${CMAKE_CURRENT_SOURCE_DIR}/peer/peer.c)
target_compile_options(insitu-peer PRIVATE ${INSITU_WARNINGS})
target_compile_definitions(insitu-peer PRIVATE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
target_link_libraries(insitu-peer PRIVATE insitu ${CJSON_LIBRARY} m)
