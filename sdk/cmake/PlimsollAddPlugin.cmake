# plimsoll_add_plugin: builds one planner plugin, a folder with plugin.yaml and libplimsoll_<id>.so.
# For the families under plugins/, the SDK's examples and vendors. It links the header-only SDK and nothing else
# of ours; the library shows the world one symbol, the plugin table.
#
#   plimsoll_add_plugin(NAME <id> SOURCES <file>... [MANIFEST plugin.yaml] [TARGET <target>] [OUTPUT_DIR <folder>])
#
#   NAME        the plugin's id and the name of its folder; anything but letters, digits, - . and _ is refused
#   SOURCES     C or C++ files, relative to the caller
#   MANIFEST    default plugin.yaml; copied beside the library whenever it changes
#   TARGET      default plimsoll_<id>, - and . replaced by _
#   OUTPUT_DIR  folder of folders, default <build>/lib/plimsoll/plugins
#
# Why each flag: hidden visibility keeps two plugins' inline functions and template statics apart, the version
# script and --exclude-libs also cover static archives built without it; -z defs turns a forgotten symbol into a
# link error (dropped under sanitizers, whose runtime lives in the program); --disable-new-dtags keeps
# LD_LIBRARY_PATH from replacing what a plugin ships beside itself.
include_guard(GLOBAL)

function(plimsoll_add_plugin)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;MANIFEST;TARGET;OUTPUT_DIR" "SOURCES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "plimsoll_add_plugin: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_NAME MATCHES "^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    message(FATAL_ERROR "plimsoll_add_plugin: NAME \"${arg_NAME}\" is not an id: letters, digits, - . and _ make one")
  endif()
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "plimsoll_add_plugin(NAME ${arg_NAME}): SOURCES is missing")
  endif()
  if(NOT arg_MANIFEST)
    set(arg_MANIFEST plugin.yaml)
  endif()
  get_filename_component(manifest "${arg_MANIFEST}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  if(NOT EXISTS "${manifest}")
    message(FATAL_ERROR "plimsoll_add_plugin(NAME ${arg_NAME}): no manifest at ${manifest}")
  endif()
  string(REGEX REPLACE "[.-]" "_" plain_name "${arg_NAME}")
  if(NOT arg_TARGET)
    set(arg_TARGET plimsoll_${plain_name})
  endif()
  if(NOT arg_OUTPUT_DIR)
    set(arg_OUTPUT_DIR "${CMAKE_BINARY_DIR}/lib/plimsoll/plugins")
  endif()
  set(exports "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.version")
  set(folder "${arg_OUTPUT_DIR}/${arg_NAME}")

  add_library(${arg_TARGET} MODULE ${arg_SOURCES})
  target_link_libraries(${arg_TARGET} PRIVATE plimsoll_sdk)
  target_compile_definitions(${arg_TARGET} PRIVATE PLIMSOLL_BUILDING_PLUGIN=1)
  set_target_properties(${arg_TARGET} PROPERTIES
    PREFIX lib
    OUTPUT_NAME plimsoll_${arg_NAME}
    LIBRARY_OUTPUT_DIRECTORY "${folder}"
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON
    LINK_DEPENDS "${exports}"
    SKIP_BUILD_RPATH ON
    PLIMSOLL_PLUGIN_DIR "${folder}")
  target_link_options(${arg_TARGET} PRIVATE
    "LINKER:--version-script=${exports}"
    LINKER:--exclude-libs,ALL LINKER:--disable-new-dtags LINKER:-z,relro,-z,now LINKER:-z,noexecstack)
  if(NOT PLIMSOLL_SANITIZE AND NOT "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-fsanitize=")
    target_link_options(${arg_TARGET} PRIVATE LINKER:-z,defs)
  endif()

  # Rules of their own, so that an edited manifest is copied without relinking; models.json and gguf.json go with it.
  get_filename_component(manifest_folder "${manifest}" DIRECTORY)
  set(copies)
  foreach(file "${manifest}" "${manifest_folder}/models.json" "${manifest_folder}/gguf.json")
    if(EXISTS "${file}")
      get_filename_component(name "${file}" NAME)
      if(file STREQUAL manifest)
        set(name plugin.yaml)
      endif()
      add_custom_command(OUTPUT "${folder}/${name}"
        COMMAND ${CMAKE_COMMAND} -E copy "${file}" "${folder}/${name}"
        DEPENDS "${file}" VERBATIM)
      list(APPEND copies "${folder}/${name}")
    endif()
  endforeach()
  add_custom_target(${arg_TARGET}_manifest ALL DEPENDS ${copies})
  add_dependencies(${arg_TARGET} ${arg_TARGET}_manifest)
endfunction()
