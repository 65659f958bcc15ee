# Repairs the imported targets of the PyPI `ros-*` wheels while an interface package is configured.
#
# The wheels were built in a container whose Python lives in /opt/python, and their exported
# targets still name its include folder; CMake refuses a target whose include folder is missing.
# Given as -DCMAKE_PROJECT_INCLUDE=<this file>, it waits until the project has been read, then
# drops those folders. No package is changed, and a robot with apt's ROS never passes this file.

function(_vipe_drop_foreign_includes)
  get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS imported)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(present ${folders})
    list(FILTER present EXCLUDE REGEX "^/opt/python/")
    if(NOT present STREQUAL folders)
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${present}")
    endif()
  endforeach()
endfunction()

# A project() call inside the project would include this file again.
get_property(_vipe_deferred GLOBAL PROPERTY VIPE_ROS_WHEELS_FIX)
if(NOT _vipe_deferred)
  set_property(GLOBAL PROPERTY VIPE_ROS_WHEELS_FIX TRUE)
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL _vipe_drop_foreign_includes)
endif()
