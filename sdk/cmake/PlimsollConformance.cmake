# plimsoll_add_conformance_test: a test of CTest that asks `plimsoll check` about a plugin; label `conformance`.
#
#   plimsoll_add_conformance_test(<target> [NAME <test>] [LEVEL 1|2|3] [MODEL <config>...] [PARAMS <n>] [HEADERS <path>] [STRICT])
#
#   <target>  of plimsoll_add_plugin
#   NAME      default conformance.<target>
#   LEVEL     default 2
#   MODEL     config.json files, relative to the caller; PARAMS and HEADERS are of the first
#   PARAMS    what is published of its parameters
#   HEADERS   what is stored of it: a .safetensors file, an index of them, or a folder
#   STRICT    warnings are failures
include_guard(GLOBAL)

function(plimsoll_add_conformance_test target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "STRICT" "NAME;LEVEL;PARAMS;HEADERS" "MODEL")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "plimsoll_add_conformance_test: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT TARGET ${target})
    message(FATAL_ERROR "plimsoll_add_conformance_test: ${target} is no target; plimsoll_add_plugin makes plimsoll_<id>")
  endif()
  if(NOT arg_NAME)
    set(arg_NAME conformance.${target})
  endif()
  if(NOT arg_LEVEL)
    set(arg_LEVEL 2)
  endif()
  set(words --level ${arg_LEVEL})
  foreach(model IN LISTS arg_MODEL)
    get_filename_component(model "${model}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
    list(APPEND words --model "${model}")
  endforeach()
  if(DEFINED arg_PARAMS)
    list(APPEND words --params ${arg_PARAMS})
  endif()
  if(arg_HEADERS)
    get_filename_component(headers "${arg_HEADERS}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
    list(APPEND words --headers "${headers}")
  endif()
  if(arg_STRICT)
    list(APPEND words --strict)
  endif()
  plimsoll_identity_program(program depends)
  add_test(NAME ${arg_NAME} COMMAND ${program} check "$<TARGET_PROPERTY:${target},PLIMSOLL_PLUGIN_DIR>" ${words})
  set_tests_properties(${arg_NAME} PROPERTIES LABELS conformance TIMEOUT 600)
endfunction()
