package io.sentio.app

import android.app.Activity
import android.view.View

/** A view of the layout, which is there. */
internal fun <T : View> Activity.view(id: Int): T = checkNotNull(findViewById<T>(id)) { "no view $id in the layout" }
