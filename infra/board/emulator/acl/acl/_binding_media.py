"""The functions of `acl.media` and `acl.himpi`, in the form of `_binding`."""

MEDIA = """
dvpp_malloc:k>ki dvpp_malloc_with_cfg:*>ki dvpp_free:k>i dvpp_create_channel:k>i dvpp_destroy_channel:k>i
dvpp_create_channel_desc:->k dvpp_destroy_channel_desc:k>i dvpp_set_channel_desc_param:*>i
dvpp_get_channel_desc_param:*>Oi dvpp_get_channel_desc_channel_id:k>K dvpp_set_channel_desc_mode:kI>i
dvpp_create_pic_desc:->k dvpp_destroy_pic_desc:k>i dvpp_set_pic_desc_data:kk>i dvpp_set_pic_desc_size:kI>i
dvpp_set_pic_desc_format:ki>i dvpp_set_pic_desc_width:kI>i dvpp_set_pic_desc_height:kI>i
dvpp_set_pic_desc_width_stride:kI>i dvpp_set_pic_desc_height_stride:kI>i dvpp_set_pic_desc_ret_code:kI>i
dvpp_get_pic_desc_data:k>k dvpp_get_pic_desc_size:k>I dvpp_get_pic_desc_format:k>i dvpp_get_pic_desc_width:k>I
dvpp_get_pic_desc_height:k>I dvpp_get_pic_desc_width_stride:k>I dvpp_get_pic_desc_height_stride:k>I
dvpp_get_pic_desc_ret_code:k>I dvpp_create_batch_pic_desc:I>k dvpp_destroy_batch_pic_desc:k>i dvpp_get_pic_desc:kI>k
dvpp_vpc_resize_async:kkkkk>i dvpp_vpc_crop_async:kkkkk>i dvpp_vpc_batch_crop_async:kkOkOk>ki
dvpp_vpc_crop_and_paste_async:kkkkkk>i dvpp_vpc_batch_crop_and_paste_async:kkOkOOk>ki
dvpp_vpc_crop_resize_async:kkkkkk>i dvpp_vpc_batch_crop_resize_async:kkOkOkk>ki
dvpp_vpc_crop_resize_paste_async:kkkkkkk>i dvpp_vpc_batch_crop_resize_paste_async:kkOkOOkk>ki
dvpp_vpc_batch_crop_resize_make_border_async:*>ki dvpp_vpc_convert_color_async:kkkk>i dvpp_vpc_pyr_down_async:kkkkk>i
dvpp_vpc_equalize_hist_async:kkkkk>i dvpp_vpc_make_border_async:kkkkk>i dvpp_vpc_calc_hist_async:kkkkk>i
dvpp_create_roi_config:IIII>k dvpp_destroy_roi_config:k>i dvpp_set_roi_config:kIIII>i dvpp_set_roi_config_left:kI>i
dvpp_set_roi_config_right:kI>i dvpp_set_roi_config_top:kI>i dvpp_set_roi_config_bottom:kI>i
dvpp_create_resize_config:->k dvpp_destroy_resize_config:k>i dvpp_set_resize_config_interpolation:kI>i
dvpp_get_resize_config_interpolation:k>I dvpp_jpeg_decode_async:kkIkk>i dvpp_jpeg_get_image_info:kI>IIii
dvpp_jpeg_get_image_info_v2:kI>IIiii dvpp_jpeg_predict_dec_size:kIi>Ii dvpp_jpeg_encode_async:kkkkkk>i
dvpp_jpeg_predict_enc_size:kk>Ii dvpp_create_jpege_config:->k dvpp_destroy_jpege_config:k>i
dvpp_set_jpege_config_level:kI>i dvpp_get_jpege_config_level:k>I dvpp_png_decode_async:*>i
dvpp_png_get_image_info:*>IIii dvpp_png_predict_dec_size:*>Ii dvpp_create_border_config:*>k
dvpp_destroy_border_config:*>i dvpp_set_border_config_value:*>i dvpp_set_border_config_border_type:*>i
dvpp_set_border_config_top:*>i dvpp_set_border_config_bottom:*>i dvpp_set_border_config_left:*>i
dvpp_set_border_config_right:*>i dvpp_get_border_config_value:*>f dvpp_get_border_config_border_type:*>i
dvpp_get_border_config_top:*>I dvpp_get_border_config_bottom:*>I dvpp_get_border_config_left:*>I
dvpp_get_border_config_right:*>I dvpp_create_hist:*>k dvpp_destroy_hist:*>i dvpp_get_hist_dims:*>I
dvpp_get_hist_data:*>Oi dvpp_get_hist_ret_code:*>I dvpp_clear_hist:*>i dvpp_create_lut_map:*>k
dvpp_destroy_lut_map:*>i dvpp_get_lut_map_dims:*>I dvpp_get_lut_map_data:*>Oi dvpp_create_stream_desc:->k
dvpp_destroy_stream_desc:k>i dvpp_set_stream_desc_data:kk>i dvpp_set_stream_desc_size:kI>i
dvpp_set_stream_desc_format:ki>i dvpp_set_stream_desc_timestamp:kK>i dvpp_set_stream_desc_ret_code:kI>i
dvpp_set_stream_desc_eos:kB>i dvpp_get_stream_desc_data:k>k dvpp_get_stream_desc_size:k>I
dvpp_get_stream_desc_format:k>i dvpp_get_stream_desc_timestamp:k>K dvpp_get_stream_desc_ret_code:k>I
dvpp_get_stream_desc_eos:k>B vdec_create_channel:*>i vdec_destroy_channel:*>i vdec_create_channel_desc:*>k
vdec_destroy_channel_desc:*>i vdec_set_channel_desc_channel_id:*>i vdec_set_channel_desc_thread_id:*>i
vdec_set_channel_desc_callback:*>i vdec_set_channel_desc_entype:*>i vdec_set_channel_desc_out_pic_format:*>i
vdec_set_channel_desc_out_pic_width:*>i vdec_set_channel_desc_out_pic_height:*>i
vdec_set_channel_desc_ref_frame_num:*>i vdec_get_channel_desc_channel_id:*>I vdec_get_channel_desc_thread_id:*>K
vdec_get_channel_desc_callback:*>k vdec_get_channel_desc_entype:*>i vdec_get_channel_desc_out_pic_format:*>i
vdec_get_channel_desc_out_pic_width:*>I vdec_get_channel_desc_out_pic_height:*>I
vdec_get_channel_desc_ref_frame_num:*>I vdec_send_frame:*>i vdec_send_skipped_frame:*>i vdec_create_frame_config:*>k
vdec_destroy_frame_config:*>i vdec_get_channel_desc_out_mode:*>I vdec_set_channel_desc_out_mode:*>i
vdec_get_channel_desc_bit_depth:*>I vdec_set_channel_desc_bit_depth:*>i vdec_set_channel_desc_param:*>i
vdec_get_channel_desc_param:*>Oi venc_create_channel:*>i venc_destroy_channel:*>i venc_send_frame:*>i
venc_create_channel_desc:*>k venc_destroy_channel_desc:*>i venc_set_channel_desc_thread_id:*>i
venc_set_channel_desc_callback:*>i venc_set_channel_desc_entype:*>i venc_set_channel_desc_pic_format:*>i
venc_set_channel_desc_pic_width:*>i venc_set_channel_desc_pic_height:*>i venc_set_channel_desc_key_frame_interval:*>i
venc_get_channel_desc_channel_id:*>I venc_get_channel_desc_thread_id:*>K venc_get_channel_desc_callback:*>k
venc_get_channel_desc_entype:*>i venc_get_channel_desc_pic_format:*>i venc_get_channel_desc_pic_width:*>I
venc_get_channel_desc_pic_height:*>I venc_get_channel_desc_key_frame_interval:*>I venc_create_frame_config:*>k
venc_destroy_frame_config:*>i venc_set_frame_config_force_i_frame:*>i venc_set_frame_config_eos:*>i
venc_get_frame_config_force_i_frame:*>B venc_get_frame_config_eos:*>B venc_get_channel_desc_buf_addr:*>k
venc_set_channel_desc_buf_addr:*>i venc_get_channel_desc_buf_size:*>I venc_set_channel_desc_buf_size:*>i
venc_get_channel_desc_max_bit_rate:*>I venc_set_channel_desc_max_bit_rate:*>i venc_get_channel_desc_rc_mode:*>I
venc_set_channel_desc_rc_mode:*>i venc_get_channel_desc_src_rate:*>I venc_set_channel_desc_src_rate:*>i
venc_get_channel_desc_param:*>Oi venc_set_channel_desc_param:*>i
"""

HIMPI = """
sys_init:*>i sys_exit:*>i dvpp_malloc:*>ki dvpp_free:*>i dvpp_get_version:*>Oi sys_create_epoll:*>ii sys_ctl_epoll:*>i
sys_wait_epoll:*>Oii sys_close_epoll:*>i sys_set_chn_csc_matrix:*>i sys_get_chn_csc_matrix:*>Oi
sys_get_image_align_info:*>Oi vdec_create_chn:*>i vdec_destroy_chn:*>i vdec_get_chn_attr:*>Oi vdec_set_chn_attr:*>i
vdec_start_recv_stream:*>i vdec_stop_recv_stream:*>i vdec_query_status:*>Oi vdec_reset_chn:*>i vdec_set_chn_param:*>i
vdec_get_chn_param:*>Oi vdec_set_protocol_param:*>i vdec_get_protocol_param:*>Oi vdec_send_stream:*>i
vdec_get_frame:*>OOOi vdec_release_frame:*>i vdec_get_fd:*>i vdec_close_fd:*>i vdec_get_pic_buf_size:*>I
vdec_get_tmv_buf_size:*>I dvpp_get_image_info:*>Oi vdec_set_jpegd_precision_mode:*>i vdec_get_jpegd_output_info:*>Oi
vdec_set_display_mode:*>i vdec_get_display_mode:*>ii venc_create_chn:*>i venc_destroy_chn:*>i venc_start_chn:*>i
venc_stop_chn:*>i venc_query_status:*>Oi venc_get_stream:*>Oi venc_release_stream:*>i venc_send_frame:*>i
venc_send_frame_ex:*>i venc_set_mod_param:*>i venc_get_mod_param:*>Oi venc_request_idr:*>i venc_get_fd:*>i
venc_close_fd:*>i venc_set_jpeg_param:*>i venc_get_jpeg_param:*>Oi venc_set_chn_param:*>i venc_get_chn_param:*>Oi
venc_set_chn_attr:*>i venc_get_chn_attr:*>Oi venc_set_scene_mode:*>i venc_get_scene_mode:*>ii venc_set_rc_param:*>i
venc_get_rc_param:*>Oi venc_set_jpeg_huffman_param:*>i venc_get_jpeg_huffman_param:*>Oi venc_compact_jpeg_tables:*>i
venc_send_jpege_frame:*>i venc_get_jpege_predicted_size:*>Ii venc_set_cu_pred:*>i venc_get_cu_pred:*>Oi
venc_set_h264_vui:*>i venc_get_h264_vui:*>Oi venc_set_h265_vui:*>i venc_get_h265_vui:*>Oi venc_set_intra_refresh:*>i
venc_get_intra_refresh:*>Oi venc_set_ref_param:*>i venc_get_ref_param:*>Oi venc_set_roi_attr:*>i
venc_get_roi_attr:*>Oi venc_set_slice_split:*>i venc_get_slice_split:*>Oi venc_get_qpmap_stride:*>I
venc_get_qpmap_size:*>I venc_set_streamcopy_param:*>i venc_get_streamcopy_param:*>Oi vpc_create_chn:*>i
vpc_destroy_chn:*>i vpc_resize:*>Ii vpc_crop:*>Ii vpc_crop_resize:*>Ii vpc_crop_resize_paste:*>Ii
vpc_convert_color:*>Ii vpc_convert_color_v2:*>Ii vpc_convert_color_to_yuv420:*>Ii vpc_copy_make_border:*>Ii
vpc_pyrdown:*>Ii vpc_calc_hist:*>Ii vpc_calc_hist_v2:*>Ii vpc_equalize_hist:*>Ii vpc_get_process_result:*>i
vpc_sys_create_chn:*>ii vpc_crop_resize_make_border:*>Ii vpc_batch_crop_resize_paste:*>Ii
vpc_batch_crop_resize_make_border:*>Ii vpc_crop_resize_resize_paste:*>Ii vpc_dilate:*>Ii vpc_draw_cover:*>Ii
vpc_draw_line:*>Ii vpc_draw_mosaic:*>Ii vpc_draw_osd:*>Ii vpc_blur:*>Ii vpc_gaussian_blur:*>Ii vpc_erode:*>Ii
vpc_filter2d:*>Ii vpc_flip:*>Ii vpc_get_affine_lut:*>i vpc_get_lut_mem_size:*>Ii vpc_get_affine_transform:*>Oi
vpc_get_perspective_lut:*>i vpc_get_remap_lut:*>i vpc_get_rotation_matrix:*>Oi vpc_lut_remap:*>Ii
vpc_set_chn_workspace:*>i vpc_median_blur:*>Ii vpc_rotate:*>Ii vpc_warp_affine:*>Ii vpc_set_chn_opt_attr:*>i
pngd_create_chn:*>i pngd_destroy_chn:*>i pngd_send_stream:*>i pngd_get_image_data:*>OOi png_get_image_info:*>Oi
"""

MEDIA_NAMES = frozenset(entry.partition(":")[0] for entry in MEDIA.split())
