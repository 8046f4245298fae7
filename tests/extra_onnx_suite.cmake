# SPDX-License-Identifier: Apache-2.0
# ONNX's node tests as Debian packages them (libonnx-testdata), against the lists kept in the tree.
set(ONNX_TESTDATA /usr/share/libonnx-testdata/data CACHE PATH "folder of the ONNX backend tests, version 1.12")
if(TARGET insitu-onnx-suite)
  if(EXISTS ${ONNX_TESTDATA}/node)
    add_test(NAME onnx.suite
      COMMAND insitu-onnx-suite --expect ${CMAKE_CURRENT_SOURCE_DIR}/onnx_suite/expected.txt
              --reasons ${CMAKE_CURRENT_SOURCE_DIR}/onnx_suite/reasons.txt ${ONNX_TESTDATA}/node
              ${ONNX_TESTDATA}/pytorch-converted ${ONNX_TESTDATA}/pytorch-operator ${ONNX_TESTDATA}/simple)
  else()
    add_test(NAME onnx.suite COMMAND sh -c "echo 'libonnx-testdata is not installed'; exit 77")
  endif()
  set_tests_properties(onnx.suite PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
endif()
add_test(NAME docs.operators COMMAND ${PROJECT_SOURCE_DIR}/scripts/gen-operators --check)
