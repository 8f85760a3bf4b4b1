import { sql } from '@cgk-platform/jobs'
import { z } from 'zod'
import { template } from './template.ts'

export const reviewRequest = template(z.object({ orderId: z.string().min(1) }), async ({ orderId }) => {
  const found = await sql<OrderRow>`
    SELECT order_number, orders.status, financial_status, customers.first_name,
           ARRAY(SELECT title FROM order_line_items WHERE order_id = orders.id AND quantity > 0 ORDER BY title, id) AS titles
    FROM orders LEFT JOIN customers ON customers.id = customer_id
    WHERE orders.id = ${orderId}`
  const order = found.rows[0]
  if (!order) return { skip: `order ${orderId} is gone` }
  const { status, financial_status } = order
  if (status === 'cancelled' || status === 'refunded') return { skip: `order is ${status}` }
  if (financial_status === 'refunded' || financial_status === 'voided') {
    return { skip: `the payment of the order is ${financial_status}` }
  }

  return {
    heading: order.first_name ? `How do you like it, ${order.first_name}?` : 'How do you like it?',
    parts: [
      `Your order ${order.order_number} has been with you for some days now.`,
      ...(order.titles.length > 0 ? [`You bought:\n${order.titles.join('\n')}`] : []),
      'Would you tell us and other customers what you think of it? Answer this email with a few words and one to five stars.',
    ],
  }
})

interface OrderRow {
  order_number: string
  status: string
  financial_status: string
  first_name: string | null
  titles: string[]
}
